"""Rules as the settings describe them: patterns, and functions of a file in the project's folder or of a package."""

from pathlib import Path
from types import ModuleType

from curate.annotate.rule import FunctionRule, LabellingFunction, Rule, rule_from_mapping
from curate.errors import ConfigurationError
from curate.settings import RuleSettings


def project_rule(folder: Path, settings: RuleSettings) -> Rule:
    """Return the rule that a project's settings describe.

    A file of the project is read anew each time: what runs is what its source text, and so the version, says, also in a
    process that has run for days.

    Raises:
        ConfigurationError: a pattern or a function is no such thing.
    """
    if not settings.function:
        return rule_from_mapping(
            {"attribute": settings.attribute, "value": settings.value, "pattern": settings.pattern}
        )
    module, _, function = settings.function.partition(":")
    file = folder / f"{module.replace('.', '/')}.py"
    found = _function(file, function, settings.function) if file.is_file() else settings.function
    return FunctionRule(settings.attribute, found, settings.version)


def _function(file: Path, name: str, entry: str) -> LabellingFunction:
    """Run the file itself, as no compiled copy of an earlier one may, and return the function of this name."""
    module = ModuleType(f"curate_project_{file.stem}")
    module.__file__ = str(file)
    try:
        exec(compile(file.read_bytes(), file, "exec"), module.__dict__)
        found = getattr(module, name)
    except Exception as error:  # a person's module may raise anything
        raise ConfigurationError(
            f"the rule {entry!r} leads to no function of {file.name}: {error}",
            hint="write module:function; the file may import installed packages, and no other file of the project",
        ) from error
    if not callable(found):
        raise ConfigurationError(f"the rule {entry!r} leads to {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]
