// The page put together: head, filters, views, keys, and the connection that it lives on.

const VIEWS = { services: "Services", graph: "Graph", timeline: "Timeline" };

const KEYS = [
  ["/", "search"],
  ["↑ ↓", "move in the list"],
  ["Enter", "open a service"],
  ["Esc", "close, or clear the search"],
  ["1 2 3", "services, graph, timeline"],
  ["o l e v", "overview, logs, explain, events of the open service"],
  ["?", "these keys"],
];

const LINKS = {
  live: ["good", "Live"],
  connecting: ["busy", "Connecting"],
  lost: ["bad", "Not connected"],
  denied: ["bad", "Token needed"],
  refused: ["bad", "Not possible"],
};

function Head() {
  const [tone, word] = LINKS[store.link];
  const all = [...store.services.values()];
  const projects = [...new Set(all.map((service) => service.project).filter(Boolean))].sort();
  return html`<header class="top">
    <h1>Ostler</h1>
    <span class=${`link ${tone}`} role="status"><span class="dot" aria-hidden="true"></span>${word}</span>
    <nav class="views" aria-label="Views">
      ${Object.entries(VIEWS).map(
        ([view, label]) => html`<button type="button" aria-current=${store.view === view ? "page" : undefined} onClick=${() => set({ view })}>${label}</button>`,
      )}
    </nav>
    <input id="search" type="search" placeholder="Search  ( / )" aria-label="Search services" value=${store.query}
      onInput=${(event) => set({ query: event.target.value })} />
    ${projects.length > 0 && html`<select aria-label="Project" value=${store.project} onChange=${(event) => set({ project: event.target.value })}>
      <option value="">All projects</option>
      ${projects.map((project) => html`<option value=${project}>${project}</option>`)}
    </select>`}
    ${connection.embedded && connection.modes.includes("fullscreen") && connection.mode !== "fullscreen" &&
      html`<button type="button" onClick=${() => connection.expand().catch(() => {})}>Enlarge</button>`}
    <button type="button" class="plain" aria-label="Keys" title="Keys ( ? )" onClick=${() => set({ help: true })}>?</button>
  </header>`;
}

function Filters() {
  const { counts, directory } = groupCounts();
  return html`<section class="filters" aria-label="Which services">
    ${Object.entries(GROUPS).map(([group, [label]]) => {
      const count = counts[group];
      const tone = group === "problems" && count ? "warn" : "";
      return html`<button type="button" class=${`chip ${tone}`} aria-pressed=${store.group === group} onClick=${() => set({ group })}>
        ${label} <span class="count">${count}</span></button>`;
    })}
    ${directory && html`<span class="of-project">
      <${Action} tool="project_up" args=${{ directory }} label="Up" />
      <${Action} tool="project_down" args=${{ directory }} label="Down" />
    </span>`}
  </section>`;
}

function TokenForm() {
  const submit = (event) => {
    event.preventDefault();
    connection.token = event.target.elements.token.value.trim();
    set({ link: "connecting", trouble: "" });
    keepUp();
  };
  return html`<form class="gate" onSubmit=${submit}>
    <h2>A token is needed</h2>
    <p>${store.trouble} Type the token of this server (OSTLER_HTTP_TOKEN), or run <code>ostler dashboard</code> again for a new link.</p>
    <label for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="off" required />
    <button type="submit" class="primary">Open</button>
  </form>`;
}

function Help() {
  const element = useRef(null);
  useEffect(() => element.current.showModal(), []);
  const close = () => set({ help: false });
  return html`<dialog ref=${element} class="dialog" aria-labelledby="help-title" onClose=${close}>
    <h2 id="help-title">Keys</h2>
    <dl class="facts">${KEYS.map(([key, does]) => html`<dt><kbd>${key}</kbd></dt><dd>${does}</dd>`)}</dl>
    <div class="buttons"><button type="button" autofocus onClick=${() => element.current.close()}>Close</button></div>
  </dialog>`;
}

function App() {
  const service = store.services.get(store.selected);
  const view = { services: Services, graph: Graph, timeline: Timeline }[store.view];
  return html`
    <${Head} />
    ${store.link === "denied"
      ? html`<main><${TokenForm} /></main>`
      : html`<${Fragment}>
          ${["lost", "refused"].includes(store.link) &&
            html`<p class="banner" role="alert">${store.trouble} ${store.link === "lost" ? "What is shown may be old; trying again." : ""}</p>`}
          <${Filters} />
          <main class=${service ? "split" : ""}>
            <div class="main"><${view} /></div>
            ${service && html`<${Detail} service=${service} />`}
          </main>
        <//>`}
    <${Notices} />
    <p class="unseen" aria-live="polite">${store.said}</p>
    ${store.dialog && html`<${Confirmation} key=${store.dialog.title} dialog=${store.dialog} />`}
    ${store.help && html`<${Help} />`}`;
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || store.dialog || store.help) return;
  const typing = event.target.matches?.("input, select, textarea");
  if (event.key === "Escape") {
    if (typing) event.target.blur();
    if (store.selected) closeDetail();
    else if (store.query) set({ query: "" });
    return;
  }
  if (typing) return;
  const tab = { o: "overview", l: "logs", e: "explain", v: "events" }[event.key];
  const view = { 1: "services", 2: "graph", 3: "timeline" }[event.key];
  if (event.key === "/") document.getElementById("search")?.focus();
  else if (event.key === "?") set({ help: true });
  else if (tab && store.selected) set({ tab });
  else if (view) set({ view });
  else return;
  event.preventDefault();
}

// What the answer that this page is shown with is about: one service, or a project.
function lookAt({ tool, arguments: args, data }) {
  const name = data?.name ?? args?.name;
  if (tool === "service_status" && typeof name === "string") set({ selected: store.services.has(name) ? name : store.selected });
  if (tool === "project_status" && typeof data?.project === "string") set({ project: data.project });
}

async function begin() {
  connection = parent === window ? new HttpConnection() : new HostConnection();
  const root = document.getElementById("app");
  root.replaceChildren();
  draw = () => render(html`<${App} />`, root);
  draw();
  addEventListener("keydown", pressed);
  setInterval(() => document.hidden || set({}), 1000); // ages grow
  try {
    const told = [];
    connection.told = (about) => told.push(about);
    await connection.open();
    void keepUp();
    while (store.link === "connecting") await pause(20);
    connection.told = lookAt;
    told.forEach(lookAt);
  } catch (error) {
    set({ link: error.kind ?? "refused", trouble: error.message });
  }
}

await begin();
