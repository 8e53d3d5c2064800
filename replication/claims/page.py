"""Fill a page's template. Every value is escaped by the template engine, and a page fetches nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound

from replication.claims.content import reason
from replication.claims.numerals import numeral, quantity
from replication.config import UserError


def render(template: Path, content: Mapping[str, Any]) -> str:
    """The page; templates may extend others of their folder. Raises UserError when the template cannot be filled."""
    environment = Environment(loader=FileSystemLoader(template.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"numeral": numeral, "quantity": quantity, "reason": reason}
    try:
        return environment.get_template(template.name).render(content)
    except TemplateNotFound as error:
        raise UserError(f"{template.parent / str(error.name)} is missing; it comes with the project") from None
    except TemplateError as error:
        raise UserError(f"{template} cannot be filled: {error}") from None
