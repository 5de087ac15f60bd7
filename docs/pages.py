"""A hook of MkDocs: the site's pages are the repository's own, where they are, so that a link is the same in both."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PATTERNS = ("*.md", "LICENSE", "docs/*.md", "docs/*.css", "results/*.md", "results/*.png", "results/*.csv")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The theme's files, and the repository's by their paths from its root."""
    root = Path(config.config_file_path).parent
    paths = sorted(path.relative_to(root).as_posix() for pattern in PATTERNS for path in root.glob(pattern))
    own = [File(path, str(root), config.site_dir, config.use_directory_urls) for path in paths]
    return Files([*(file for file in files if file.src_dir != config.docs_dir), *own])
