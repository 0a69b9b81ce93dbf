"""The page under `/docs`: the API for people who read and try it.

All of it is served from here: many networks that queue-manager runs in reach nothing outside.
"""

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

PATH = "/docs"

# Made while nothing runs yet, as it looks at the disk.
_PARTS = StaticFiles(packages=[("fastapi_swagger", "resources")])


def add_docs_page(app: FastAPI) -> None:
    """Add the page and what it loads; addresses are relative, so that a proxy may put a prefix before them."""

    @app.get(PATH, include_in_schema=False)
    async def show_docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon-32x32.png",
        )

    app.mount(PATH, _PARTS)
