"""Installs wheels with pip, each into a folder of its own, in a sandbox of sockd's without network.

Event: {"wheels": [{"file": name in /var/wheels/0, "index": N, "folder": where sandboxes will see
it}], "most_files": N, "most_bytes": N of each unpacked}.

Answer: {"wheels": [{"index": N, "ok": true} or {"index": N, "error": text}]}; what was installed is
in /tmp/out/N, compiled.
"""

import compileall
import os
import py_compile
import shutil
import stat
import sys
import zipfile

SOURCE = "/var/wheels/0"
OUT = "/tmp/out"
MOST_ERROR = 16 << 10
PIP_FOLDER = "/usr/lib/python3/dist-packages"

os.environ["HOME"] = "/tmp"


class Refused(Exception):
    """A wheel that is no good."""


class Tail:
    """A stream whose end is kept."""

    encoding = "utf-8"

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text = (self.text + text)[-MOST_ERROR:]
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


def check(wheel, event):
    """Refuses what would fill the sandbox, before it does."""
    try:
        with zipfile.ZipFile(f"{SOURCE}/{wheel['file']}") as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise Refused(f"it is no zip archive: {error}") from None
    if len(entries) > event["most_files"]:
        raise Refused(f"it has {len(entries)} files; at most {event['most_files']} are allowed")
    # No more than this comes out of it: that is where zipfile stops reading.
    size = sum(entry.file_size for entry in entries)
    if size > event["most_bytes"]:
        raise Refused(f"it unpacks to {size} bytes; at most {event['most_bytes']} are allowed")
    for entry in entries:
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused(f"{entry.filename!r} is neither a file nor a folder")
    return entries


def pip_install(path, target):
    from pip._internal.cli.main import main

    stderr = sys.stderr
    errors = sys.stderr = Tail()
    try:
        status = main([
            "--isolated", "--disable-pip-version-check", "--no-input", "--no-color", "--no-cache-dir",
            "install", "--no-deps", "--no-index", "--no-compile", "--no-warn-script-location",
            "--progress-bar", "off", "--target", target, path])
    except SystemExit as error:
        status = error.code
    finally:
        sys.stderr = stderr
    if status != 0:
        raise Refused(errors.text.strip() or f"pip ended with {status}")


def tidy(target, entries):
    """Removes what sandboxes have no use for: scripts, and where the wheel was at the time."""
    if not any(entry.filename.startswith("bin/") for entry in entries):
        shutil.rmtree(f"{target}/bin", ignore_errors=True)
    for folder in os.listdir(target):
        if folder.endswith(".dist-info"):
            try:
                os.unlink(f"{target}/{folder}/direct_url.json")
            except FileNotFoundError:
                pass


def compile_all(target, folder):
    # Not by time: the copies have another. Files that do not compile, templates often, are nobody's
    # error until they are imported.
    compileall.compile_dir(target, maxlevels=100, force=True, quiet=2, stripdir=target,
                           prependdir=folder, workers=1,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def install(wheel, event):
    target = f"{OUT}/{int(wheel['index'])}"
    try:
        entries = check(wheel, event)
        print(f"installing {wheel['file']}", flush=True)
        os.makedirs(target)
        pip_install(f"{SOURCE}/{wheel['file']}", target)
        tidy(target, entries)
        compile_all(target, wheel["folder"])
    except (Refused, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        return {"index": wheel["index"], "error": str(error)[-MOST_ERROR:]}
    return {"index": wheel["index"], "ok": True}


def handler(event, context):
    sys.path.append(PIP_FOLDER)
    os.chdir("/tmp")
    return {"wheels": [install(wheel, event) for wheel in event["wheels"]]}
