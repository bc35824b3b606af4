import argparse
import subprocess
import sys

import pytest

import san
from san.cli import COMMANDS, main
from san.errors import UserError
from san.segment import add_arguments, parse_vocabulary


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("argv", [["--help"], ["--version"], ["segment", "--help"]])
def test_help_imports_nothing_heavy(argv):
    result = run_python(
        "import sys; from san.cli import main\n"
        f"try: main({argv!r})\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert not {'torch', 'detectron2', 'numpy'} & set(sys.modules)"
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"san {san.__version__}\n"


def test_help_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    for name in COMMANDS:
        assert name in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_own_help(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: san {name} ")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["paint"], "invalid choice: 'paint'"),
        (["segment", "--output", "x"], "required: --input, --vocabulary"),
        (["segment", "--background-threshold", "x"], "invalid float value: 'x'"),
    ],
)
def test_mistakes_in_usage(argv, message, capsys):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_convert_weights_reports_a_users_mistake(tmp_path, capsys):
    source = str(tmp_path / "none.pth")
    assert main(["convert-weights", source, str(tmp_path / "out.pth")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert "none.pth" in error


def test_options_that_stand_last_are_kept_whole():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    argv = ["--input", "a", "b", "--vocabulary", "c", "--output", "d"]
    assert parser.parse_args(argv).opts == []
    opts = ["INPUT.MIN_SIZE_TEST", "64", "SEED", "-1"]
    assert parser.parse_args([*argv, "--opts", *opts]).opts == opts


@pytest.mark.parametrize(
    "words",
    [
        ["cat", "sofa|couch", "traffic light"],
        ["cat, sofa|couch ,traffic light"],
        ["cat,", "sofa|couch,", "traffic light"],
    ],
)
def test_words_of_the_command_line(words):
    vocabulary = parse_vocabulary(words)
    assert vocabulary.classes == (("cat",), ("sofa", "couch"), ("traffic light",))


def test_vocabulary_files_of_the_command_line(tmp_path, monkeypatch):
    for name in ("words.txt", "words.yaml", "words"):
        (tmp_path / name).write_text("- cat" if name == "words.yaml" else "cat")
        assert parse_vocabulary([str(tmp_path / name)]).names == ("cat",)
    monkeypatch.chdir(tmp_path)
    assert parse_vocabulary(["words"]).names == ("words",)
    assert parse_vocabulary(["sofa/couch"]).names == ("sofa/couch",)
    with pytest.raises(UserError, match=r"vocabulary file none\.txt cannot be read"):
        parse_vocabulary(["none.txt"])
    with pytest.raises(UserError, match="class 2 of the vocabulary is '', which holds an empty"):
        parse_vocabulary(["cat,,dog"])
