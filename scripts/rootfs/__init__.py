"""Makes root file systems for the image installer from short descriptions: what an installed board runs."""
