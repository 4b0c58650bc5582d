#!/usr/bin/env python3
"""Looks at the status page of a running kring in headless Chromium, by its debugging pipe.

usage: look.py URL KAFKA-HOST:PORT SERVER-PID [FOLDER FOR SCREENSHOTS]

It makes load of its own, with client ids that would be markup. It ends the server (PID) and
checks that the page says so. Each fault is a line; the exit status is 1 if there was one.
"""

import base64, json, os, select, signal, socket, struct, subprocess, sys, tempfile, threading, time

url, kafka, pid = sys.argv[1], sys.argv[2], int(sys.argv[3])
folder = sys.argv[4] if len(sys.argv) > 4 else None
HOSTILE = ["<script>document.title='PWNED'</script>", "<img src=x onerror=document.title='PWNED'>", "\x1b[31m\u202eevil", "x" * 300, "billing"]
PATIENCE = 60
faults = []


def load(name):
    """A client that asks for ApiVersions, one request after the other."""
    host, port = kafka.rsplit(":", 1)
    raw = name.encode()
    body = struct.pack(">hhih", 18, 0, 7, len(raw)) + raw
    frame = struct.pack(">i", len(body)) + body
    try:
        with socket.create_connection((host, int(port))) as s:
            while True:
                s.sendall(frame)
                size = struct.unpack(">i", take(s, 4))[0]
                take(s, size)
                time.sleep(0.002)  # a client's own pace
    except OSError:
        return


def take(s, n):
    out = b""
    while len(out) < n:
        more = s.recv(n - len(out))
        if not more:
            raise OSError("closed")
        out += more
    return out


class Browser:
    """Chromium by its debugging pipe: a message of JSON, then a zero byte."""

    def __init__(self, profile):
        to_child, self.out = os.pipe()
        self.inp, from_child = os.pipe()

        def fds():
            os.setsid()
            a, b = os.dup(to_child), os.dup(from_child)
            os.dup2(a, 3)
            os.dup2(b, 4)

        args = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--user-data-dir=" + profile, "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(args, preexec_fn=fds, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.left, self.n, self.session = b"", 0, None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(domain + ".enable")

    def call(self, method, **params):
        self.n += 1
        message = {"id": self.n, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE
        while True:
            got = self.read(end)
            if got.get("id") == self.n:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]

    def read(self, end):
        while b"\0" not in self.left:
            if not select.select([self.inp], [], [], max(end - time.monotonic(), 0))[0]:
                raise RuntimeError("the browser says nothing")
            more = os.read(self.inp, 1 << 16)
            if not more:
                raise RuntimeError("the browser has ended")
            self.left += more
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def js(self, expression):
        got = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in got:
            raise RuntimeError(f"{expression[:60]}: {got['exceptionDetails']}")
        return got["result"].get("value")

    def until(self, what, expression):
        end = time.monotonic() + PATIENCE
        while not self.js(f"!!({expression})"):
            if time.monotonic() > end:
                state = self.js("document.getElementById('state').textContent")
                faults.append(f"not within {PATIENCE} s: {what}; the state is {state!r}")
                return
            time.sleep(0.1)  # of a poll, not of a condition

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


LOOK = r"""(() => {
  const faults = [];
  const lum = c => { const [r, g, b] = c.match(/[\d.]+/g).map(Number).map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\)$|transparent/.test(c)) return c; } return "rgb(255,255,255)"; };
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push("wider than the screen: " + document.documentElement.scrollWidth + " of " + width);
  for (const e of document.querySelectorAll("p, dt, dd, td, th, h1, h2, figcaption span, svg text, label, a")) {
    if (!e.textContent.trim() || e.className === "skip" || !e.getClientRects().length) continue;
    const style = getComputedStyle(e), a = lum(e.tagName === "text" ? style.fill : style.color), b = lum(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) { faults.push("contrast " + contrast.toFixed(1) + ": " + e.textContent.trim().slice(0, 40)); break; }
  }
  for (const id of ["limits", "conns", "processors", "apis", "ended"]) {
    const body = document.getElementById(id);
    if (!body.rows.length) faults.push("empty table: " + id);
    if (id !== "ended" && !body.querySelector("th[scope=row]")) faults.push("no rows with a head: " + id);
  }
  for (const th of document.querySelectorAll("thead th")) if (th.scope !== "col") faults.push("a column's head without scope: " + th.textContent);
  for (const s of document.querySelectorAll("figure svg")) {
    if (!s.getAttribute("aria-label") || s.getAttribute("role") !== "img") faults.push("a chart without a name");
    if (!s.querySelector("polyline")) faults.push("an empty chart: " + s.id);
    for (const l of s.querySelectorAll("polyline")) if (l.points.length < 2) faults.push("a chart without points: " + s.id);
  }
  for (const [name, n] of [["header", 1], ["main", 1], ["footer", 1], ["h1", 1], ["[aria-live]", 1], ["script", 1], ["style", 1], ["img", 0], ["iframe", 0]])
    if (document.querySelectorAll(name).length !== n) faults.push(document.querySelectorAll(name).length + " of " + name);
  for (const r of performance.getEntriesByType("resource")) if (new URL(r.name).origin !== location.origin) faults.push("loaded " + r.name);
  const names = [...document.querySelectorAll("#conns th")].map(e => e.textContent);
  for (const want of ["<script>document.title='PWNED'</script>", "<img src=x onerror=document.title='PWNED'>", "·[31m·evil", "billing"])
    if (!names.includes(want)) faults.push("no client " + want + " among " + names.join(" | ").slice(0, 300));
  if (document.title !== "kring") faults.push("the title is " + document.title);
  return faults;
})()"""

# What can be reached by Tab, in order.
FOCUS = """(() => { const e = document.activeElement, s = getComputedStyle(e);
  return [e.id || e.className || e.tagName, s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2]; })()"""


def main():
    for name in HOSTILE:
        threading.Thread(target=load, args=(name,), daemon=True).start()
    with tempfile.TemporaryDirectory() as profile:
        b = Browser(profile)
        try:
            look(b)
        finally:
            b.end()
    for f in faults:
        print("FAULT", f)
    sys.exit(1 if faults else 0)


def look(b):
    b.call("Page.navigate", url=url)
    b.until("it serves and has charts", "document.readyState === 'complete' && typeof history.length === 'number' && document.getElementById('state').className === 'good' && document.querySelector('polyline')?.points.length > 3")
    for width in (1280, 360):
        for scheme in ("light", "dark"):
            b.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
            b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            b.js("document.getElementById('chart-bytes').replaceChildren()")
            b.until("it is drawn anew", "document.querySelector('#chart-bytes polyline')")
            found = b.js(LOOK)
            faults.extend(f"{width} {scheme}: {f}" for f in found)
            print(f"{width} {scheme} {'; '.join(found) or 'good'}")
            if folder:
                shot(b, f"{width}-{scheme}")
    keyboard(b)
    b.js("document.getElementById('search').value = 'BILL'; document.getElementById('search').dispatchEvent(new Event('input'))")
    b.until("the search finds one client", "document.querySelectorAll('#conns tr').length === 1 && document.querySelector('#conns th').textContent === 'billing'")
    hang(b)
    os.kill(pid, signal.SIGKILL)
    b.until("it says that the server is gone", "document.getElementById('state').className === 'bad' && document.getElementById('state').textContent.startsWith('No answer since')")
    if folder:
        shot(b, "gone")
    print("server gone, and said so")


def keyboard(b):
    seen = []
    for _ in range(12):
        for kind in ("keyDown", "keyUp"):
            b.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        seen.append(b.js(FOCUS))
    names = [name for name, _ in seen]
    for want in ("skip", "sort", "search", "muted", "scroll"):
        if want not in names:
            faults.append(f"Tab does not reach {want}: {names}")
    for name, visible in seen:
        if not visible and name not in ("BODY", "skip"):
            faults.append(f"{name} has the focus, and it does not show")


def hang(b):
    """A server that accepts and does not answer: questions don't pile up."""
    b.js("""window.flying = 0; window.most = 0; window.begun = 0; const real = window.fetch;
      window.fetch = (...a) => { begun++; most = Math.max(most, ++flying); return real(...a).finally(() => flying--); }""")
    os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(50):
            b.js("document.getElementById('search').dispatchEvent(new Event('input'))")
        b.until("it says that nothing comes", "document.getElementById('state').className === 'bad'")
    finally:
        os.kill(pid, signal.SIGCONT)
    b.until("it goes on", "document.getElementById('state').className === 'good'")
    if b.js("most") > 3:
        faults.append(f"{b.js('most')} questions at once")


def shot(b, name):
    height = b.js("document.documentElement.scrollHeight")
    got = b.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={"x": 0, "y": 0, "width": b.js("innerWidth"), "height": height, "scale": 1})
    with open(os.path.join(folder, name + ".png"), "wb") as f:
        f.write(base64.b64decode(got["data"]))


main()
