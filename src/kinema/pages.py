"""HTML pages from jinja2 templates that lie in a package's folder `templates`."""

from pathlib import Path
from typing import Any

from kinema.files import replacing


def write_template(path: Path, template: str, *, package: str, **values: Any) -> Path:
    """Fill a template and write it to `path`, whole or not at all; return the path.

    Args:
        path: of the page.
        template: file name, in `templates` of the package.
        package: such as "kinema.demo".
        values: by their names in the template; one that is missing is an error there.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(**values)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path
