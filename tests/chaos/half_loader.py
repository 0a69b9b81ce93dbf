"""A loader that stops after half of its pages and reports `completed`: what a proof must find out."""

from collections.abc import Iterator
from itertools import islice

from loader_producer.__main__ import main
from loader_producer.app.pages import Page, PagePlan

_all_pages = PagePlan.pages_from


def _half(self: PagePlan, next_id: int | None) -> Iterator[Page]:
    return islice(_all_pages(self, next_id), self.count // 2)


if __name__ == "__main__":
    PagePlan.pages_from = _half  # type: ignore[method-assign]
    main()
