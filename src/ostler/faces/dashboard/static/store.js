// What the page knows, in one place, and how it keeps up with the server. A change asks for one rendering a frame.

const MAX_KEPT_EVENTS = 1000;
const CATCH_UP_PAUSE = 40; // milliseconds between two reads while events pour in
const LOOK_AGAIN = 5000; // milliseconds until checks and processor use are read without an event
const RETRIES = [500, 1000, 2000, 5000, 10000];

const store = {
  services: new Map(),
  usage: {},
  events: [],
  cursor: 0,
  at: "",
  skew: 0, // the server's clock minus this one, milliseconds
  version: 0,
  link: "connecting", // connecting, live, lost, denied, refused
  trouble: "",
  view: "services",
  query: "",
  group: "all",
  project: "",
  sort: "name",
  selected: "",
  tab: "overview",
  dialog: null,
  help: false,
  notices: [],
  said: "",
};

let connection = null;
let draw = () => {};
let drawing = false;

function set(changes) {
  Object.assign(store, changes);
  if (!drawing) {
    drawing = true;
    requestAnimationFrame(() => {
      drawing = false;
      draw();
    });
  }
}

const now = () => Date.now() + store.skew;
const since = (moment) => (now() - Date.parse(moment)) / 1000;
const until = (moment) => -since(moment);
const say = (text) => set({ said: text });

function notify(text, tone = "info") {
  const notice = { id: `${Date.now()}-${Math.random()}`, text, tone };
  set({ notices: [...store.notices.slice(-3), notice] });
  if (tone !== "bad") setTimeout(() => dismiss(notice.id), 6000);
}

const dismiss = (id) => set({ notices: store.notices.filter((notice) => notice.id !== id) });

function take(found) {
  const services = found.complete ? new Map() : store.services;
  for (const service of found.services) {
    const before = store.services.get(service.name);
    if (before && before.state !== service.state && (service.state === "failed" || service.name === store.selected)) {
      say(`${service.name} is ${stateWord(service.state)}`);
    }
    services.set(service.name, service);
  }
  for (const name of found.removed ?? []) services.delete(name);
  for (const [name, [checkedAt, passedAt]] of Object.entries(found.checks ?? {})) {
    const known = services.get(name);
    if (known) services.set(name, { ...known, checkedAt, passedAt });
  }
  const events = found.complete ? found.events : [...store.events, ...found.events].slice(-MAX_KEPT_EVENTS);
  const changed = found.complete || found.services.length || (found.removed ?? []).length;
  set({
    services,
    events,
    usage: found.usage ?? store.usage,
    cursor: found.cursor,
    at: found.at,
    skew: Date.parse(found.at) - Date.now(),
    version: store.version + (changed || store.sort === "cpu" || store.sort === "memory" ? 1 : 0),
    selected: services.has(store.selected) ? store.selected : "",
    link: "live",
    trouble: "",
  });
}

let reading = null;
let readAgain = false;
let checkedAt = 0; // when checks and use were read last, by the server's clock
let lookWider = false;

// Read what has changed, `wide` also checks and use; calls during a read make one further read.
function catchUp({ wide = false } = {}) {
  readAgain = true;
  lookWider ||= wide;
  reading ??= (async () => {
    try {
      while (readAgain) {
        readAgain = false;
        const after = lookWider ? checkedAt : 0;
        const found = await connection.read(
          store.at ? `ostler://dashboard/${store.cursor}/${after}` : "ostler://dashboard",
        );
        if (found.usage) {
          checkedAt = Date.parse(found.at);
          lookWider = false;
        }
        take(found);
        if (found.more) readAgain = true;
        if (readAgain) await pause(CATCH_UP_PAUSE);
      }
    } finally {
      reading = null;
    }
  })();
  return reading;
}

// Stay connected: read everything, follow the changes, and begin again when the stream ends.
async function keepUp() {
  for (let failures = 0; ; failures += 1) {
    const ending = new AbortController();
    try {
      await catchUp();
      failures = 0;
      const tick = setInterval(() => catchUp({ wide: true }).catch(() => ending.abort()), LOOK_AGAIN);
      try {
        await connection.follow(() => catchUp().catch(() => ending.abort()), ending.signal);
      } finally {
        clearInterval(tick);
      }
      set({ link: "connecting" });
    } catch (error) {
      if (error.kind === "denied" || error.kind === "refused") {
        set({ link: error.kind, trouble: error.message });
        return;
      }
      set({ link: "lost", trouble: error.message });
    }
    await pause(RETRIES[Math.min(failures, RETRIES.length - 1)]);
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

// How many services each group has; counted again when a service has changed.
let counted = { key: "", counts: {} };

function groupCounts() {
  const key = `${store.version} ${store.project}`;
  if (counted.key !== key) {
    const all = [...store.services.values()].filter((service) => !store.project || service.project === store.project);
    const counts = Object.fromEntries(Object.entries(GROUPS).map(([group, [, holds]]) => [group, all.filter(holds).length]));
    counted = { key, counts, directory: store.project && all.find((service) => service.directory)?.directory };
  }
  return counted;
}

// The services that the filters leave, in order; kept until something of it changes.
let listed = { key: "", list: [] };

function visibleServices() {
  const { version, query, group, project, sort } = store;
  const key = JSON.stringify([version, query, group, project, sort]);
  if (listed.key !== key) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    const list = [...store.services.values()].filter(
      (service) =>
        GROUPS[group][1](service) &&
        (!project || (service.project ?? "") === project) &&
        words.every((word) => `${service.name} ${kindOf(service)} ${service.state}`.toLowerCase().includes(word)),
    );
    list.sort(ORDERS[sort]);
    listed = { key, list };
  }
  return listed.list;
}

const TONES = ["bad", "warn", "busy", "good", "idle"];
const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const byName = (a, b) => compare(a.project ?? "", b.project ?? "") || compare(a.name, b.name);
const used = (service, index) => store.usage[service.name]?.[index] ?? -1;
const ORDERS = {
  name: byName,
  state: (a, b) => TONES.indexOf(toneOf(a)[0]) - TONES.indexOf(toneOf(b)[0]) || byName(a, b),
  since: (a, b) => compare(b.since, a.since) || byName(a, b),
  cpu: (a, b) => used(b, 0) - used(a, 0) || byName(a, b),
  memory: (a, b) => used(b, 1) - used(a, 1) || byName(a, b),
};
