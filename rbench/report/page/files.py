"""The page as a file: exactly the named one is written, completely or not at all."""

from pathlib import Path

from rbench.report.output_file import check_output, refusal
from rbench.report.page.embedding import check_libraries
from rbench.run.record import write_text

ENDINGS = ".html", ".htm"


def check_page(path: Path) -> None:
    """Refuse a file that no page can be written to.

    Raises:
        RbenchError: a library is not installed; the path is a folder, a device or otherwise no file, or has another
            ending; its folder does not exist; or it cannot be written.
    """
    check_libraries()
    check_output(path, ENDINGS, "page")


def save_page(text: str, path: Path) -> None:
    """Write a page; an earlier file stays until this one is complete.

    Raises:
        RbenchError: as `check_page`, or it could not be written.
    """
    check_page(path)
    try:
        write_text(path.resolve(), text)  # the file behind a link
    except OSError as error:
        raise refusal(path, "page", error.strerror or str(error)) from None
