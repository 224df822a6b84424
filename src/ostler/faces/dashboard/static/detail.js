// One service: what is known of it, its log, why it is so, and what happened to it.

const TABS = { overview: "Overview", logs: "Logs", explain: "Explain", events: "Events" };

function Detail({ service }) {
  const element = useRef(null);
  const body = { overview: Overview, logs: Logs, explain: Explain, events: ServiceEvents }[store.tab];
  const turn = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const names = Object.keys(TABS);
    const tab = names[(names.indexOf(store.tab) + step + names.length) % names.length];
    set({ tab });
    element.current.querySelector(`#tab-${tab}`).focus();
  };
  return html`<aside class="detail" aria-label=${`Service ${service.name}`} ref=${element}>
    <header>
      <button type="button" class="plain close" aria-label="Close" onClick=${closeDetail}>${narrow.matches ? "‹" : "✕"}</button>
      <h2 title=${service.name}>${service.name}</h2>
      <p class="under"><${StateCell} service=${service} /> <span>${kindOf(service)}</span></p>
      <${ServiceActions} service=${service} />
    </header>
    <div class="tabs" role="tablist" aria-label="About this service" onKeyDown=${turn}>
      ${Object.entries(TABS).map(
        ([tab, label]) => html`<button type="button" role="tab" id=${`tab-${tab}`} aria-selected=${store.tab === tab}
          aria-controls="tabpanel" tabindex=${store.tab === tab ? 0 : -1} onClick=${() => set({ tab })}>${label}</button>`,
      )}
    </div>
    <div class="body" role="tabpanel" id="tabpanel" aria-labelledby=${`tab-${store.tab}`} tabindex="0">
      <${body} key=${`${service.name} ${store.tab}`} service=${service} />
    </div>
  </aside>`;
}

function closeDetail() {
  const name = store.selected;
  set({ selected: "" });
  requestAnimationFrame(() => requestAnimationFrame(() => focusService(name)));
}

function Overview({ service }) {
  const [cpu, memory] = store.usage[service.name] ?? [];
  const facts = [
    ["State", `${stateWord(service.state)} for ${duration(since(service.since))}${service.reason ? ` (${service.reason})` : ""}`],
    ["Under way", service.operation && `${service.operation.kind}${service.operation.step ? `, step ${service.operation.step}` : ""}`],
    ["Health", healthText(service) || (service.checks ? "not checked yet" : "")],
    ["Last check saw", service.evidence],
    ["Next check", service.nextCheckAt && `in ${duration(until(service.nextCheckAt))}`],
    ["Last error", service.error && html`<span class="bad">${service.error}</span>${service.errorAt ? ` (${duration(since(service.errorAt))} ago)` : ""}`],
    ["Next retry", service.nextRetryAt && `in ${duration(until(service.nextRetryAt))}`],
    ["Lease ends", service.leaseEndsAt && `in ${duration(until(service.leaseEndsAt))}`],
    ["Processor", percent(cpu)],
    ["Memory", memory && bytes(memory)],
    ["Restarts", service.restarts],
    ["Server", service.reachability !== "reachable" && service.reachability],
    ["Wanted", service.desired],
    ["Purpose", service.purpose],
    ["Owner", service.owner],
    ["Project", service.project && `${service.project} (${service.directory ?? ""})`],
  ].filter(([, value]) => value || value === 0);
  const outputs = Object.entries(service.outputs ?? {});
  const neededBy = [...store.services.values()].filter((each) => each.needs?.includes(service.name)).map((each) => each.name);
  return html`
    <dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
    ${service.problems && html`<h3>Dependency problems</h3><ul>${service.problems.map((each) => html`<li class="bad">${each}</li>`)}</ul>`}
    ${outputs.length > 0 && html`<h3>Outputs</h3>
      <dl class="facts">${outputs.map(([name, value]) => html`<dt>${name}</dt><dd class="mono"><${OutputValue} value=${value} /></dd>`)}</dl>`}
    <${Neighbours} title="Needs" names=${service.needs ?? []} />
    <${Neighbours} title="Needed by" names=${neededBy} />`;
}

function OutputValue({ value }) {
  const address = webAddress(value);
  return address ? html`<${Link} address=${address} text=${value} />` : valueText(value);
}

function Neighbours({ title, names }) {
  if (!names.length) return null;
  return html`<h3>${title}</h3><ul class="neighbours">${names.map((name) => {
    const service = store.services.get(name);
    return html`<li>${service
      ? html`<button type="button" class="plain linked" onClick=${() => choose(name, "overview")}>${name}</button> <${StateCell} service=${service} />`
      : html`${name} <span class="bad">does not exist</span>`}</li>`;
  })}</ul>`;
}

// The answer of a call; one that was not answered counts as failed, for the reason that it was not.
const answered = (tool, args) =>
  connection.call(tool, args).catch((error) => ({ failed: true, lost: error.kind === "lost", text: error.message }));

// The calls whose answer has a tab of its own.
const TAB_OF = { service_logs: "logs", service_events: "events", service_status: "overview", service_get: "overview" };

function Explain({ service }) {
  const [found, setFound] = useState(null);
  const look = () => answered("service_explain", { name: service.name }).then(setFound);
  useEffect(() => void look(), [service.name, service.state, service.health]);
  if (!found) return html`<p>Looking…</p>`;
  if (found.failed) return html`<p class="trouble">${found.text}</p>`;
  const { causes = [], question, nextCalls = [], lastCalls = [] } = found.data;
  return html`
    ${causes.length ? html`<ul class="causes">${causes.map((cause) => html`<li>${cause}</li>`)}</ul>` : html`<p>Nothing is wrong with it.</p>`}
    ${question && html`<p class="question">${question}</p>`}
    ${nextCalls.length > 0 && html`<h3>What to do next</h3><ul class="next">${nextCalls.map(
      ({ tool, args, when }) => html`<li>
        ${TAB_OF[tool] && args?.name === service.name
          ? html`<button type="button" onClick=${() => set({ tab: TAB_OF[tool] })}>${callLabel(tool, args, service)}</button>`
          : html`<${Action} tool=${tool} args=${args} label=${callLabel(tool, args, service)} />`} <span>${when}</span>
      </li>`,
    )}</ul>`}
    ${lastCalls.length > 0 && html`<h3>Last calls</h3><ol class="calls">${lastCalls.map(
      (call) => html`<li><span class="time">${clock(call.at)}</span> ${call.operation} ${call.step}: <code>${call.tool}</code> ${call.outcome}${call.error ? html` <span class="bad">${call.error}</span>` : ""}</li>`,
    )}</ol>`}
    <p class="again"><button type="button" onClick=${look}>Look again</button></p>`;
}

function callLabel(tool, args, service) {
  const rest = Object.entries(args ?? {}).filter(([name, value]) => !(name === "name" && value === service.name));
  const words = tool.replace(/^service_/, "").replaceAll("_", " ");
  return rest.length ? `${words} ${rest.map(([name, value]) => `${name}=${valueText(value)}`).join(" ")}` : words;
}

function ServiceEvents({ service }) {
  const [found, setFound] = useState(null);
  useEffect(() => void answered("service_events", { name: service.name, limit: 100 }).then(setFound), [service.name]);
  if (!found) return html`<p>Reading…</p>`;
  if (found.failed) return html`<p class="trouble">${found.text}</p>`;
  const past = found.data.events ?? [];
  const last = past.at(-1)?.cursor ?? 0;
  const events = [...past, ...store.events.filter((event) => event.service === service.name && event.cursor > last)];
  if (!events.length) return html`<p>No events.</p>`;
  return html`<ol class="timeline" aria-label=${`Events of ${service.name}`}>
    ${events.reverse().map((event) => html`<${EventLine} key=${event.cursor} event=${event} brief />`)}
  </ol>`;
}
