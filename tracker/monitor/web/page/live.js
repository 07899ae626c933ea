// Live pictures. Browsers allow six connections to a host, so all cameras of one width come in one; and only those
// that can be seen are asked for, for each costs the service an encoding.

const WIDTHS = [320, 480, 640, 960, 1280];
const CALM_MS = 200;

export class Live {
  // `wanted()` gives [name, pixels] of each picture that can be seen; `show(name, bitmap)` takes each new one;
  // `refuse(names, why)` is told where the service gives none.
  constructor(wanted, show, refuse) {
    Object.assign(this, { wanted, show, refuse });
    this.streams = new Map();
    this.decoding = new Map();
    document.addEventListener("visibilitychange", () => this.change());
    // A browser may keep a page that was left, its connections open, to be quick when one comes back.
    addEventListener("pagehide", () => { clearTimeout(this.timer); this.stop(); });
    addEventListener("pageshow", () => this.change());
  }

  stop() {
    for (const stop of this.streams.values()) stop.abort();
    this.streams.clear();
  }

  // What is seen may have changed.
  change() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.settle(), CALM_MS);
  }

  settle() {
    const groups = new Map();
    for (const [name, pixels] of document.hidden ? [] : this.wanted()) {
      const width = WIDTHS.find((each) => each >= pixels) ?? WIDTHS.at(-1);
      groups.set(width, [...(groups.get(width) ?? []), name]);
    }
    const addresses = new Map([...groups].map(([width, names]) => [`/api/live?width=${width}&cameras=${names.join(",")}`, names]));
    for (const [address, stop] of this.streams) {
      if (!addresses.has(address)) { stop.abort(); this.streams.delete(address); }
    }
    for (const [address, names] of addresses) {
      if (!this.streams.has(address)) {
        const stop = new AbortController();
        this.streams.set(address, stop);
        this.follow(address, names, stop.signal);
      }
    }
  }

  async follow(address, names, signal) {
    for (let wait = 500; !signal.aborted; wait = Math.min(2 * wait, 8000)) {
      try {
        const answer = await fetch(address, { signal, cache: "no-store" });
        if (answer.ok) { wait = 500; await this.read(answer.body.getReader()); } else this.refuse(names, (await answer.json()).error);
      } catch { /* gone, or told to stop: tried again below */ }
      if (!signal.aborted) await new Promise((done) => setTimeout(done, wait));
    }
  }

  // Records: length of the name (1 byte), of the JPEG (4 bytes), name, JPEG.
  async read(reader) {
    let rest = new Uint8Array(0);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const bytes = new Uint8Array(rest.length + value.length);
      bytes.set(rest);
      bytes.set(value, rest.length);
      let at = 0;
      while (bytes.length - at >= 5) {
        const view = new DataView(bytes.buffer, at), head = 5 + view.getUint8(0), size = head + view.getUint32(1);
        if (bytes.length - at < size) break;
        const name = new TextDecoder().decode(bytes.subarray(at + 5, at + head));
        this.decode(name, new Blob([bytes.subarray(at + head, at + size)], { type: "image/jpeg" }));
        at += size;
      }
      rest = bytes.slice(at);
    }
  }

  // One at a time a camera; what comes meanwhile replaces what waits.
  async decode(name, blob) {
    if (this.decoding.has(name)) { this.decoding.set(name, blob); return; }
    for (let next = blob; next; next = this.decoding.get(name)) {
      this.decoding.set(name, null);
      try { this.show(name, await createImageBitmap(next)); } catch { /* a broken picture is passed over */ }
    }
    this.decoding.delete(name);
  }
}
