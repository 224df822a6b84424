// What happened, the newest first; it grows while one looks.

const EVENT_TONES = { warning: "warn", lease_expiring: "warn", lease_expired: "warn", service_deleted: "idle" };

function eventTone(event) {
  const state = event.data?.state ?? event.data?.to;
  if (event.kind === "state_changed" && STATES[state]) return STATES[state][0];
  if (event.data?.error || event.data?.outcome === "failed") return "bad";
  return EVENT_TONES[event.kind] ?? "plain";
}

function EventLine({ event, brief = false }) {
  const known = store.services.has(event.service);
  return html`<li class=${`event ${eventTone(event)}`}>
    <time class="time" datetime=${event.at} title=${event.at}>${clock(event.at)}</time>
    <span class="kind">${stateWord(event.kind)}</span>
    <span class="what">${!brief && event.service && html`${known
      ? html`<button type="button" class="plain linked" title=${event.service} onClick=${() => choose(event.service, "events")}>${event.service}</button>`
      : html`<b title=${event.service}>${event.service}</b>`} `}${event.message.replaceAll(" -> ", " → ")}</span>
  </li>`;
}

const EVENT_ROW = 28;

function Timeline() {
  const [kinds, setKinds] = useState("all");
  const names = new Set(visibleServices().map((service) => service.name));
  const filtered = Boolean(store.query || store.project || store.group !== "all");
  const events = store.events
    .filter((event) => (!filtered || names.has(event.service)) && KINDS[kinds][1](event))
    .reverse();
  const { element, first, last } = useWindow(events.length, EVENT_ROW);
  return html`<section class="happened" aria-label="Timeline">
    <div class="tools">
      <label>Show <select value=${kinds} onChange=${(event) => setKinds(event.target.value)}>
        ${Object.entries(KINDS).map(([name, [label]]) => html`<option value=${name}>${label}</option>`)}
      </select></label>
      <span class="count">${events.length} event${events.length === 1 ? "" : "s"}</span>
    </div>
    <div class="scroller" ref=${element} tabindex="0" aria-label="Events, the newest first" role="region">
      <ol class="timeline space" style=${{ height: `${events.length * EVENT_ROW}px`, paddingTop: `${first * EVENT_ROW}px` }}>
        ${events.slice(first, last).map((event) => html`<${EventLine} key=${event.cursor} event=${event} />`)}
      </ol>
    </div>
  </section>`;
}

const KINDS = {
  all: ["everything", () => true],
  states: ["states and health", (event) => ["state_changed", "health_changed", "reachability_changed"].includes(event.kind)],
  operations: ["operations", (event) => /^(operation|service)_/.test(event.kind)],
  calls: ["tool calls", (event) => event.kind === "tool_called"],
  warnings: ["warnings", (event) => ["warn", "bad"].includes(eventTone(event))],
};
