"""`/docs`: the OpenAPI document as one plain page, which needs no script and no other host."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from service.api.pages import render_page

Document = Mapping[str, Any]


def render_reference(document: Document) -> str:
    """Every operation with its parameters, an example body and its answers."""
    lead = f"<p>{escape(document['info']['description'])}</p>"
    machine = '<p>For programs: <a href="/openapi.json">/openapi.json</a></p>'
    operations = [
        _render_operation(document, path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return render_page("HTTP API", "\n".join([lead, machine, *operations]))


def _render_operation(document: Document, path: str, method: str, operation: Document) -> str:
    title = f"<code>{method.upper()} {escape(path)}</code>"
    return "\n".join(
        [
            f'<h2 id="{operation["operationId"]}">{title}</h2>',
            f"<p>{escape(operation.get('description', operation['summary']))}</p>",
            *_render_parameters(operation),
            *_render_examples(document, operation),
            _render_answers(operation),
        ]
    )


def _render_parameters(operation: Document) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        place = f"{parameter['in']}, {'required' if parameter['required'] else 'optional'}"
        described = escape(parameter.get("description", ""))
        yield f"<p><code>{escape(parameter['name'])}</code> ({place}) {described}</p>"


def _render_examples(document: Document, operation: Document) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        for example in _find_examples(document, content["schema"]):
            yield f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"


def _find_examples(document: Document, schema: Document) -> list[Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    described = document["components"]["schemas"][name] if name else schema
    return list(described.get("examples", ()))


def _render_answers(operation: Document) -> str:
    answers = (
        f"<li><code>{status}</code> {escape(answer['description'])}</li>"
        for status, answer in sorted(operation["responses"].items())
    )
    return f"<ul>{''.join(answers)}</ul>"
