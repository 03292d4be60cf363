"""Sets up the virtual environment and starts what was asked for: `bootstrap.py run|test|check|bench`.

Standard library only, and written so that old Pythons come as far as the message that they are too old.
"""

# ruff: noqa: UP031, UP036, RUF005 - the syntax of old Pythons, on purpose
import hashlib
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, "tidegate-stamp")


def fail(message):
    """End with one line that says what to do."""
    sys.stderr.write("tidegate: %s\n" % message)
    sys.exit(1)


def check_python():
    """Refuse a Python that cannot run this."""
    if sys.version_info < (3, 11):
        fail(
            "Python 3.11 or newer is needed, this is %s (%s). Run: make PYTHON=/path/to/python3.11"
            % (sys.version.split()[0], sys.executable)
        )
    for name in ("venv", "ensurepip", "sqlite3", "ssl"):
        try:
            __import__(name)
        except ImportError:
            fail(
                "this Python (%s) lacks the module %s. On Debian and Ubuntu: apt install python3-venv; "
                "or choose another one: make PYTHON=/path/to/python3" % (sys.executable, name)
            )


def wanted_stamp(requirements):
    """What the environment was made from: Python and the text of the requirements."""
    digest = hashlib.sha256(("%s %s" % (sys.version, sys.base_prefix)).encode())
    for name in requirements:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(name.encode() + b"\0" + file.read())
    return digest.hexdigest()


def is_current(stamps, stamp):
    """Whether the environment is there and was made from the same."""
    return os.path.exists(PYTHON) and stamp in stamps


def read_stamps():
    """The stamps of all sets of requirements that are installed."""
    try:
        with open(STAMP) as file:
            return file.read().split()
    except OSError:
        return []


def make_venv(requirements):
    """Make the environment and install into it, unless that was done already.

    `requirements` begins with those that it takes to run, so whatever was installed is enough for that.
    """
    stamp = wanted_stamp(requirements)
    stamps = read_stamps()
    if is_current(stamps, stamp):
        return
    print("setting up .venv from %s; this takes a minute the first time ..." % " and ".join(requirements))
    sys.stdout.flush()
    base = wanted_stamp([])
    if not os.path.exists(PYTHON) or base not in stamps:
        run_step([sys.executable, "-m", "venv", "--clear", VENV], "the virtual environment cannot be made")
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    for name in requirements:
        pip += ["-r", os.path.join(ROOT, name)]
    run_step(pip, "the packages cannot be installed (is there a network?)")
    with open(STAMP, "w") as file:
        file.write("\n".join([base, wanted_stamp(requirements[:1]), stamp]) + "\n")


def run_step(command, problem):
    """One step of the set-up; its output is shown only if it fails."""
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
    except OSError as error:
        fail("%s: %s" % (problem, error))
    if done.returncode:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        fail("%s; see above. To begin anew: make clean" % problem)


def check_writable(folder, setting):
    """The directory must be ours to write; what is not there yet is made by its owner later."""
    present = folder
    while not os.path.exists(present):
        present = os.path.dirname(present)
    if not os.path.isdir(present) or not os.access(present, os.W_OK | os.X_OK):
        fail("no permission to write in %s. Change its owner or mode%s." % (present, setting))


def execute(command, **environment):
    """Become the command, so that Ctrl-C and exit codes are its own."""
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execve(command[0], command, dict(os.environ, **environment))  # noqa: S606 - no shell is wanted


def run():
    """The product, with the demo unless TIDEGATE_DEMO=0."""
    data = os.environ.get("TIDEGATE_DATA") or os.path.join(ROOT, "data")
    check_writable(os.path.abspath(data), " or set TIDEGATE_DATA to another directory")
    make_venv(["requirements.txt"])
    demo = os.environ.get("TIDEGATE_DEMO", "1")
    execute([PYTHON, "manage.py", "rungateway", "--migrate"], TIDEGATE_DEMO=demo)


def test(arguments):
    """The tests. Those whose servers are not installed are skipped, and the summary says why."""
    make_venv(["requirements.txt", "requirements-dev.txt"])
    plugin = ["-p", "tests.ci_plugin"]
    # More would starve each other on a machine with two processors: tests wait for processes of their own.
    # Hundreds of those are started, so bytecode is kept.
    execute(
        [PYTHON, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup"] + plugin + arguments,
        PYTHONDONTWRITEBYTECODE="",
    )


def check():
    """Everything that can be said about the code without running it."""
    make_venv(["requirements.txt", "requirements-dev.txt"])
    binaries = os.path.join(VENV, "bin")
    steps = (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
        ["python", "manage.py", "makemigrations", "--check", "--dry-run"],
    )
    failed = []
    for step in steps:
        print("%s" % " ".join(step))
        sys.stdout.flush()
        if subprocess.run([os.path.join(binaries, step[0])] + step[1:], cwd=ROOT, check=False).returncode:
            failed.append(" ".join(step))
    if failed:
        fail("failed: %s" % ", ".join(failed))


def bench(arguments):
    """The comparison with other gateways."""
    make_venv(["requirements.txt", "requirements-dev.txt"])
    execute([PYTHON, "benchmarks/run.py"] + arguments)


def main():
    """The command line."""
    check_python()
    check_writable(ROOT, "")
    action, arguments = sys.argv[1], sys.argv[2:]
    if action == "run":
        run()
    elif action == "test":
        test(arguments)
    elif action == "check":
        check()
    elif action == "bench":
        bench(arguments)
    else:
        fail("there are run, test, check and bench, not %s" % action)


if __name__ == "__main__":
    main()
