"""What services and classes may be called: labels, and the freer names of other forms such as muster's."""

import re

NAME_PATTERN = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123 label: what a class or service may be called."""

FOREIGN_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
"""What a class of another manifest form, and a service of such a class, may also be called: `My_Class.v1`."""

MAX_SERVICE_NAME = 120
"""Characters of a service's name, its project's labels included."""


def validate_name(value: str) -> str:
    """Return `value` if it is an RFC 1123 label.

    Raises:
        ValueError: it is not.
    """
    if not NAME_PATTERN.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a valid name: use lower-case letters, digits and '-', at most 63 characters, "
            "starting and ending with a letter or digit (RFC 1123 label)"
        )
    return value


def validate_class_name(value: str) -> str:
    """Return `value` if it is a valid name of a class of any form: a label, or `My_Class.v1` as in muster.

    Raises:
        ValueError: it is not.
    """
    if not FOREIGN_NAME.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a valid name: use letters, digits, '.', '_' and '-', at most 100 characters, "
            "starting and ending with a letter or digit"
        )
    return value


def is_label(value: str) -> bool:
    """Whether `value` is an RFC 1123 label."""
    return NAME_PATTERN.fullmatch(value) is not None


def label_of(value: str, default: str = "unnamed", *, most: int = 63) -> str:
    """Return the label nearest to `value`, such as `my-class-v1` for `My_Class.v1`.

    Args:
        value: any text.
        default: the label if nothing of `value` fits.
        most: how many characters it may have.
    """
    return re.sub(r"[^a-z0-9]+", "-", value.lower()).strip("-")[:most].rstrip("-") or default


def validate_service_name(value: str, *, foreign: bool) -> str:
    """Return `value` if it is a valid name of a service: a label, in a project with the project's: `web.fix-ui.shop`.

    Args:
        value: the name.
        foreign: its class is of another manifest form, so that `Web_1.a` is valid, too.

    Raises:
        ValueError: it is not.
    """
    if foreign and len(value) <= MAX_SERVICE_NAME:
        return validate_class_name(value)
    if len(value) > MAX_SERVICE_NAME or value.count(".") > 2:
        raise ValueError(
            f"{value!r} is not a valid name of a service: at most {MAX_SERVICE_NAME} characters, and at most "
            "three parts (service.worktree.project)"
        )
    for label in value.split("."):
        try:
            validate_name(label)
        except ValueError as error:
            if label == value:
                raise
            raise ValueError(f"{value!r} has a wrong part: {error}") from None
    return value
