"""The verb `test`: runs the tests of classes and reports for people, programs and CI."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ostler.faces.cli.importing import configured_names
from ostler.faces.cli.recording import record
from ostler.faces.cli.session import ExitStatus, fail, parse_pairs, session_of, usage_error
from ostler.faces.output import say, say_json
from ostler.model.json import JsonObject

if TYPE_CHECKING:
    from ostler.adapters.testing.discovery import TestedFile
    from ostler.adapters.testing.runner import TestResult

Format = Literal["human", "json", "junit"]


def run_tests(  # noqa: PLR0917 (typer's parameters are the options)
    context: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE|CLASS", help="Test files, class files, folders or classes; else all yours."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", "-k", metavar="TEXT", help="Only tests whose name contains this.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to report.")] = "human",
    recorded: Annotated[
        bool,
        typer.Option(
            "--record", help="Take a service of CLASS through its life on the live servers, and write that as a test."
        ),
    ] = False,
    arg: Annotated[list[str] | None, typer.Option("--arg", "-a", metavar="K=V", help="With --record: an arg.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --record: the file to write.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of test files instead.")] = False,
) -> None:
    """Run the tests of ServiceClasses. NAME.test.yaml runs on the real engine, without servers and without waiting."""
    if schema:
        from ostler.rules.loading.class_tests import class_test_json_schema

        say_json(class_test_json_schema())
        return
    if recorded:
        if not what or len(what) != 1 or only:
            usage_error("--record takes one class: its name, or its file")
        record(context, what[0], parse_pairs("--arg", arg or []), output)
        return
    if arg or output:
        usage_error("--arg and --output have an effect with --record only")
    _report(_run(context, what or [], only or ""), form)


def _run(context: typer.Context, what: list[str], only: str) -> "list[TestedFile]":
    from ostler.adapters.testing.discovery import find_test_files, run_test_file
    from ostler.model.errors import NotFoundError

    session = session_of(context)
    folder = session.paths.serviceclasses_dir
    try:
        files = find_test_files(what, folder)
    except NotFoundError as error:
        fail(str(error), ExitStatus.NOT_FOUND)
    if not files:
        fail(f"there are no class tests (NAME.test.yaml) in {str(folder)!r}", ExitStatus.NOT_FOUND)
    logging.getLogger("ostler").addHandler(logging.NullHandler())  # what matters of the engine's words is in the report
    known = configured_names(session)
    tested = [run_test_file(file, only, known) for file in files]
    if only and not any(file.results or file.findings for file in tested):
        fail(f"no test has {only!r} in its name", ExitStatus.NOT_FOUND)
    return tested


def _report(tested: "list[TestedFile]", form: Format) -> None:
    match form:
        case "human":
            _print_human(tested)
        case "json":
            say_json(_facts(tested))
        case "junit":
            say(_junit(tested), end="")
    if not all(file.passed for file in tested):
        raise typer.Exit(int(ExitStatus.FAILED))


def _print_human(tested: Sequence["TestedFile"]) -> None:
    passed = failed = 0
    for file in tested:
        for finding in file.findings:
            say(finding)
        for result in file.results:
            mark = "ok  " if result.passed else "FAIL"
            say(f"{mark}  {result.class_name}: {result.name}")
            for failure in result.failures:
                first, *rest = str(failure).splitlines()
                say(f"      {first}")
                for line in rest:
                    say(f"        {line}")
        passed += sum(result.passed for result in file.results)
        failed += sum(not result.passed for result in file.results)
    unusable = sum(bool(file.findings) for file in tested)
    summary = f"{passed} passed, {failed} failed"
    if unusable:
        summary += f", {unusable} file{'s' if unusable > 1 else ''} with mistakes"
    say(summary)


def _facts(tested: Sequence["TestedFile"]) -> JsonObject:
    results = [result for file in tested for result in file.results]
    return {
        "passed": sum(result.passed for result in results),
        "failed": sum(not result.passed for result in results),
        "findings": [
            {key: getattr(finding, key) for key in ("message", "file", "line", "column", "rule", "path", "fix")}
            for file in tested
            for finding in file.findings
        ],
        "tests": [_result_facts(result) for result in results],
    }


def _result_facts(result: "TestResult") -> JsonObject:
    return {
        "serviceClass": result.class_name,
        "name": result.name,
        "file": result.file,
        "line": result.line,
        "passed": result.passed,
        "seconds": result.seconds,
        "failures": [
            {
                "message": failure.message,
                "details": list(failure.details),
                "line": failure.line,
                "column": failure.column,
                "path": failure.path,
            }
            for failure in result.failures
        ],
    }


def _junit(tested: Sequence["TestedFile"]) -> str:
    from xml.etree import ElementTree as ET

    root = ET.Element("testsuites")
    for file in tested:
        cases = max(len(file.results), 1)
        failed = sum(not result.passed for result in file.results)
        errors = int(bool(file.findings))
        suite = ET.SubElement(
            root, "testsuite", name=str(file.path), tests=str(cases), failures=str(failed), errors=str(errors)
        )
        if file.findings:
            case = ET.SubElement(suite, "testcase", classname=file.path.name, name="(loading)", file=str(file.path))
            first = file.findings[0]
            error = ET.SubElement(case, "error", message=_xml_text(first.message), type=first.rule or "error")
            error.text = _xml_text("\n".join(map(str, file.findings)))
        for result in file.results:
            case = ET.SubElement(
                suite,
                "testcase",
                classname=result.class_name,
                name=_xml_text(result.name),
                file=result.file,
                line=str(result.line),
                time=str(result.seconds),
            )
            for failure in result.failures:
                element = ET.SubElement(case, "failure", message=_xml_text(failure.message), type="failure")
                element.text = _xml_text(str(failure))
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml_text(text: str) -> str:
    """Return `text` without the control characters that XML cannot hold."""
    return "".join(c if c in "\t\n" or (ord(c) >= 0x20 and not 0xD800 <= ord(c) <= 0xDFFF) else "�" for c in text)


def add_to(app: typer.Typer) -> None:
    """Add the verb to the command line."""
    app.command("test")(run_tests)
