// The list of services. Only the rows in view are in the document, so that thousands stay quick.

const OVERSCAN = 8;

// The items of a long list that are in view, each at its place; all rows are equally high.
function useWindow(count, rowHeight) {
  const element = useRef(null);
  const [view, setView] = useState({ top: 0, height: 800 });
  useEffect(() => {
    const scroller = element.current;
    const look = () => setView({ top: scroller.scrollTop, height: scroller.clientHeight });
    const watching = new ResizeObserver(look);
    watching.observe(scroller);
    scroller.addEventListener("scroll", look, { passive: true });
    look();
    return () => {
      watching.disconnect();
      scroller.removeEventListener("scroll", look);
    };
  }, []);
  const first = Math.max(0, Math.floor(view.top / rowHeight) - OVERSCAN);
  const last = Math.min(count, Math.ceil((view.top + view.height) / rowHeight) + OVERSCAN);
  return { element, first, last };
}

const narrow = matchMedia("(max-width: 720px)");
narrow.addEventListener("change", () => set({}));

function StateCell({ service }) {
  const [tone, sign] = toneOf(service);
  return html`<span class=${`state ${tone}`}><span class="sign" aria-hidden="true">${sign}</span>${stateWord(service.state)}</span>`;
}

function healthText(service) {
  if (service.failedChecks && service.health !== "healthy") return `${service.health}; ${service.failedChecks}`;
  if (service.failedChecks) {
    return `healthy until ${service.passedAt ? `${duration(since(service.passedAt))} ago` : "then"}; ${service.failedChecks}`;
  }
  if (service.health === "unknown") return "";
  return service.checkedAt ? `${service.health}, ${duration(since(service.checkedAt))} ago` : service.health;
}

// The error of a service that does not run because of it.
const troubleOf = (service) => (!isRunning(service) && ["bad", "warn"].includes(toneOf(service)[0]) ? (service.error ?? "") : "");

function dueText(service) {
  if (service.operation) return `${service.operation.kind}${service.operation.step ? `: ${service.operation.step}` : ""}`;
  if (service.nextRetryAt) return `retry in ${duration(until(service.nextRetryAt))}`;
  if (service.leaseEndsAt) return `lease ${duration(until(service.leaseEndsAt))}`;
  return "";
}

function Place({ service }) {
  const text = placeOf(service);
  const address = webAddress(text);
  return address ? html`<${Link} address=${address} text=${text.replace(/^https?:\/\//, "")} />` : text;
}

// A link that the connection opens; a row that it is in is not chosen by it.
function Link({ address, text }) {
  const open = (event) => {
    event.stopPropagation();
    event.preventDefault();
    connection.link(address);
  };
  return html`<a href=${address} target="_blank" rel="noopener noreferrer" onClick=${open}>${text}</a>`;
}

function Row({ service, index, height, current }) {
  const [cpu, memory] = store.usage[service.name] ?? [];
  const chosen = service.name === store.selected;
  return html`<div role="row" aria-rowindex=${index + 2} aria-selected=${chosen} class=${`row ${chosen ? "chosen" : ""}`}
    style=${{ top: `${index * height}px`, height: `${height}px` }} onClick=${() => choose(service.name)}>
    <span role="cell" class="name">
      <button type="button" class="plain" data-service=${service.name} tabindex=${current ? 0 : -1}
        title=${service.name}>${shortName(service)}</button>
      ${service.project && html`<span class="project">${service.project}</span>`}
    </span>
    <span role="cell" class="condition"><${StateCell} service=${service} /></span>
    <span role="cell" class="age">${duration(since(service.since))}</span>
    <span role="cell" class="health" title=${service.evidence}>${troubleOf(service) ? html`<span class="bad">${troubleOf(service)}</span>` : healthText(service)}</span>
    <span role="cell" class="place"><${Place} service=${service} /></span>
    <span role="cell" class="number">${percent(cpu)}</span>
    <span role="cell" class="number">${memory ? bytes(memory) : ""}</span>
    <span role="cell" class="due">${dueText(service)}</span>
  </div>`;
}

const COLUMNS = [
  ["Name", "name", "name"],
  ["State", "state", "condition"],
  ["Since", "since", "age"],
  ["Health", "", "health"],
  ["Where", "", "place"],
  ["CPU", "cpu", "number"],
  ["Memory", "memory", "number"],
  ["Next", "", "due"],
];

let cursorRow = "";

function choose(name, tab) {
  cursorRow = name;
  set({ selected: name, tab: tab ?? store.tab });
}

function Services() {
  const list = visibleServices();
  const height = narrow.matches ? 60 : 34;
  const { element, first, last } = useWindow(list.length, height);
  const focusable = list.some((service) => service.name === cursorRow) ? cursorRow : list[0]?.name;
  const move = (event) => {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -list.length, End: list.length };
    if (!(event.key in steps) || event.target.closest(".head")) return;
    event.preventDefault();
    const at = list.findIndex((service) => service.name === focusable);
    const next = Math.min(list.length - 1, Math.max(0, at + steps[event.key]));
    if (!list[next]) return;
    cursorRow = list[next].name;
    const scroller = element.current;
    const top = next * height;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    if (top + height > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = top + height - scroller.clientHeight;
    set(store.selected ? { selected: cursorRow } : {});
    requestAnimationFrame(() => requestAnimationFrame(() => focusService(list[next].name)));
  };
  return html`<div class="table" role="table" aria-label="Services" aria-rowcount=${list.length + 1} onKeyDown=${move}>
    <div class="head" role="row" aria-rowindex="1">
      ${COLUMNS.map(
        ([label, order, kind]) => html`<span role="columnheader" class=${kind} aria-sort=${store.sort === order ? "ascending" : undefined}>
          ${order ? html`<button type="button" class="plain" onClick=${() => set({ sort: order })}>${label}${store.sort === order ? html`<span aria-hidden="true"> ↓</span>` : ""}</button>` : label}
        </span>`,
      )}
    </div>
    <div class="scroller" role="rowgroup" ref=${element}>
      <div class="space" role="presentation" style=${{ height: `${list.length * height}px` }}>
        ${list.slice(first, last).map(
          (service, index) => html`<${Row} key=${service.name} service=${service} index=${first + index} height=${height}
            current=${service.name === focusable} />`,
        )}
      </div>
      ${list.length === 0 && html`<${Nothing} />`}
    </div>
  </div>`;
}

function focusService(name) {
  document.querySelector(`[data-service="${CSS.escape(name)}"]`)?.focus({ preventScroll: true });
}

function Nothing() {
  if (store.link === "connecting" && !store.at) return html`<p class="nothing">Connecting…</p>`;
  if (store.services.size) return html`<p class="nothing">No service matches. <button type="button" onClick=${() => set({ query: "", group: "all", project: "" })}>Show all</button></p>`;
  return html`<p class="nothing">There are no services yet. Ask your agent for one, or run <code>ostler up</code> in a project.</p>`;
}
