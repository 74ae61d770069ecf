"""``python -m medtap`` is ``medtap``."""

from medtap.cli import main

if __name__ == "__main__":
    main()
