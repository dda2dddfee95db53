"""Chooses and downloads wheels with pip, in a sandbox of sockd's.

Event: {"requirements": text of a requirements.txt, "require_hashes": bool, "wheels_only": bool,
"no_index": bool, "find_links": [folders], "index_url": URL or "", "extra_index_urls": [URLs],
"extra_options": [of `pip install`], "have": [sha256 of wheels that need not be downloaded],
"host": [{"name", "version", "requires": [requirements]} of the host's packages]}.

Answer: {"report": pip's installation report (version "1"; of the metadata only what is used),
"wheels": [names of the files in /tmp/wheels], "host": [names of the host's packages that go with them]}
or {"stage": where it failed, "error": what pip said on
its standard error, "output": on its standard output}.
What was built from source is reported as the wheel that came of it.
"""

import hashlib
import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
import zipfile

WHEELS = "/tmp/wheels"
REPORT = "/tmp/report.json"
STUBS = "/tmp/host"
MOST_ERROR = 64 << 10
PIP_FOLDER = "/usr/lib/python3/dist-packages"

os.environ["HOME"] = "/tmp"
# Whatever is built here has the same bytes, and so the same digest, the next time.
os.environ["SOURCE_DATE_EPOCH"] = "315532800"


class Refused(Exception):
    """pip did not do what it was asked to."""

    def __init__(self, stage, error, output):
        super().__init__(error)
        self.stage = stage
        self.output = output


class Tee:
    """What pip says goes to the log, and its end is kept."""

    encoding = "utf-8"

    def __init__(self, stream):
        self.stream = stream
        self.text = ""

    def write(self, text):
        self.text = (self.text + text)[-MOST_ERROR:]
        return self.stream.write(text)

    def flush(self):
        self.stream.flush()

    def isatty(self):
        return False


def pip(stage, *arguments):
    from pip._internal.cli.main import main

    print(f"{stage}: pip {arguments[0]}", flush=True)
    streams = sys.stdout, sys.stderr
    output, errors = sys.stdout, sys.stderr = Tee(sys.stdout), Tee(sys.stderr)
    try:
        status = main([
            "--isolated", "--disable-pip-version-check", "--no-input", "--no-color",
            "--cache-dir", "/tmp/cache", "--timeout", "15", "--retries", "2", *arguments])
    except SystemExit as error:
        status = error.code
    finally:
        sys.stdout, sys.stderr = streams
    if status != 0:
        raise Refused(stage, errors.text.strip() or f"pip ended with {status}", output.text)


def report_yanked():
    """This pip warns of withdrawn releases, but its report does not tell them apart."""
    from pip._internal.models.installation_report import InstallationReport

    describe = InstallationReport._install_req_to_dict.__func__

    def describe_all(cls, requirement):
        entry = describe(cls, requirement)
        link = requirement.link
        entry["is_yanked"] = bool(link and link.is_yanked)
        if entry["is_yanked"]:
            entry["yanked_reason"] = str(link.yanked_reason)[:1000]
        return entry

    InstallationReport._install_req_to_dict = classmethod(describe_all)


def sources(event):
    """Where pip looks."""
    options = []
    if event["no_index"]:
        options.append("--no-index")
    elif event["index_url"]:
        options += ["--index-url", event["index_url"]]
    for url in event["extra_index_urls"]:
        options += ["--extra-index-url", url]
    for folder in event["find_links"]:
        options += ["--find-links", folder]
    if event["wheels_only"]:
        options += ["--only-binary", ":all:"]
    return options


def write_stubs(packages):
    """Wheels of nothing but metadata, which stand for the host's packages when pip chooses."""
    os.makedirs(STUBS, exist_ok=True)
    for package in packages:
        folder = f"{package['name'].replace('-', '_')}-{package['version']}"
        metadata = ["Metadata-Version: 2.1", f"Name: {package['name']}", f"Version: {package['version']}"]
        metadata += [f"Requires-Dist: {requirement}" for requirement in package["requires"]]
        with zipfile.ZipFile(f"{STUBS}/{folder}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{folder}.dist-info/METADATA", "\n".join(metadata) + "\n")
            wheel.writestr(f"{folder}.dist-info/WHEEL",
                           "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{folder}.dist-info/RECORD", "")


def choose(event):
    """The report and the names of the host's packages in its place: wheels alone if they will do,
    since those are what their makers tried together."""
    try:
        return resolve(event, []), []
    except Refused:
        if not event["host"]:
            raise
    write_stubs(event["host"])
    report = resolve(event, ["--find-links", STUBS])
    stubs = f"file://{STUBS}/"
    host = [entry["metadata"]["name"] for entry in report["install"]
            if entry["download_info"]["url"].startswith(stubs)]
    report["install"] = [entry for entry in report["install"]
                         if not entry["download_info"]["url"].startswith(stubs)]
    return report, host


def resolve(event, more):
    with open("/tmp/requirements.txt", "w") as file:
        file.write(event["requirements"])
    options = sources(event) + more + event["extra_options"]
    if event["require_hashes"]:
        options.append("--require-hashes")
    if not event["wheels_only"]:
        options.append("--no-build-isolation")
    pip("resolve", "install", "--dry-run", "--ignore-installed", "--progress-bar", "off",
        "--report", REPORT, *options, "-r", "/tmp/requirements.txt")
    with open(REPORT) as file:
        return json.load(file)


def trim(report):
    """What is said of a package elsewhere: its description alone may be a megabyte."""
    for entry in report["install"]:
        metadata = entry["metadata"]
        entry["metadata"] = {key: metadata[key] for key in ("name", "version", "requires_dist")
                             if key in metadata}
    return report


def sha256_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stated_digest(entry):
    archive = entry["download_info"].get("archive_info", {})
    kind, _, value = archive.get("hash", "").partition("=")
    return value if kind == "sha256" else archive.get("hashes", {}).get("sha256", "")


def file_name(url):
    return os.path.basename(urllib.parse.unquote(urllib.parse.urlparse(url).path))


def fetch(entry):
    """The wheel of one entry in WHEELS; its name."""
    url = entry["download_info"]["url"]
    name = file_name(url)
    place = os.path.join(WHEELS, name)
    if url.startswith("file:"):
        shutil.copyfile(urllib.request.url2pathname(urllib.parse.urlparse(url).path), place)
    else:
        # By its own address, so that nothing is chosen a second time. It is in pip's cache.
        digest = stated_digest(entry)
        requirement = f"{entry['metadata']['name']} @ {url}"
        if digest:
            requirement += f" --hash=sha256:{digest}"
        with open("/tmp/download.txt", "w") as file:
            file.write(requirement + "\n")
        pip("download", "download", "--no-deps", "--no-index", "--progress-bar", "off",
            "--dest", WHEELS, "-r", "/tmp/download.txt")
    return name


def build(entry):
    """Makes the wheel of a source archive; its name."""
    os.makedirs("/tmp/built", exist_ok=True)
    digest = stated_digest(entry)
    requirement = f"{entry['metadata']['name']} @ {entry['download_info']['url']}"
    pip("build", "wheel", "--no-deps", "--no-build-isolation", "--progress-bar", "off",
        "--wheel-dir", "/tmp/built", requirement + (f"#sha256={digest}" if digest else ""))
    [name] = os.listdir("/tmp/built")
    os.rename(f"/tmp/built/{name}", os.path.join(WHEELS, name))
    return name


def handler(event, context):
    sys.path.append(PIP_FOLDER)
    os.chdir("/tmp")
    os.makedirs(WHEELS, exist_ok=True)
    have = set(event["have"])
    wheels = []
    try:
        report_yanked()
        report, host = choose(event)
        report = trim(report)
        for entry in report["install"]:
            if file_name(entry["download_info"]["url"]).endswith(".whl"):
                if stated_digest(entry) in have:
                    continue
                name = fetch(entry)
            else:
                name = build(entry)
                entry["download_info"]["url"] = f"file://{WHEELS}/{urllib.parse.quote(name)}"
            digest = sha256_of(os.path.join(WHEELS, name))
            entry["download_info"]["archive_info"] = {"hash": f"sha256={digest}"}
            wheels.append(name)
    except Refused as refused:
        return {"stage": refused.stage, "error": str(refused), "output": refused.output}
    except OSError as error:
        return {"stage": "download", "error": f"ERROR: {error}", "output": ""}
    return {"report": report, "wheels": wheels, "host": host}
