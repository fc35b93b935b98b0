"""Recognition: fine-tune and evaluate video classifiers, with and without motion prompts."""
