"""Names networks, datasets and settings for people."""

from tf_transfer.study.figures import panels

display_name = panels.display_name
