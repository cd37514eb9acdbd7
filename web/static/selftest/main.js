/**
 * The entry of the connection test: run it, or show what an earlier one found.
 *
 * @typedef {import('./api.js').Begun} Begun
 * @typedef {import('./plan.js').Step} Step
 * @typedef {import('./report.js').Report} Report
 * @typedef {import('./report.js').Row} Row
 */
import { begin, keep, look, Refused } from './api.js'
import { parseServers, planSteps } from './plan.js'
import { askReflexive } from './reflexive.js'
import { callThrough } from './relay.js'
import { isReport, makeReport, makeRow } from './report.js'
import { element, showEmpty, showProgress, showRow, showVerdict } from './view.js'

/** How long a path may take to come about: longer than a browser tries a silent server. */
const PATIENCE_MS = 15_000

/** How long STUN servers may take to answer. */
const STUN_PATIENCE_MS = 8_000

/** @type {Report | null} */
let shown = null

/** @param {'idle' | 'running' | 'done' | 'failed'} state */
function setState(state) {
  document.body.dataset.state = state
  element('run', HTMLButtonElement).disabled = state === 'running'
}

async function run() {
  const pasted = element('servers', HTMLTextAreaElement).value.trim()
  /** @type {Begun | null} */
  const begun = pasted ? null : await begin(element('key', HTMLInputElement).value.trim())
  const steps = planSteps(begun ? begun.iceServers : parseServers(pasted))
  const startedAt = new Date()
  showEmpty()
  history.replaceState(null, '', location.pathname)
  /** @type {Row[]} */
  const rows = []
  for (const [number, step] of steps.entries()) {
    showProgress(`${number + 1} of ${steps.length}: ${step.name}…`)
    const row = await take(step, begun)
    rows.push(row)
    showRow(row)
  }
  await finish(makeReport(rows, { own: begun !== null, startedAt }), begun)
}

/**
 * @param {Step} step
 * @param {Begun | null} begun
 * @returns {Promise<Row>}
 */
async function take(step, begun) {
  if (step.kind === 'reflexive') {
    const reflexive = await askReflexive(step.iceServers, STUN_PATIENCE_MS)
    return makeRow(step, { ok: reflexive.ok, reflexive })
  }
  const before = begun ? await sightings(begun.id) : []
  const relay = await callThrough(step.iceServers, PATIENCE_MS)
  const after = begun ? await sightings(begun.id) : []
  return makeRow(step, { ok: relay.ok, relay, sightings: before && after && begun && after.slice(before.length) })
}

/**
 * @param {string} id
 * @returns {Promise<import('./api.js').Sighting[] | null>} null when the server cannot be asked just now
 */
async function sightings(id) {
  return look(id).then((state) => state.sightings, () => null)
}

/**
 * @param {Report} report
 * @param {Begun | null} begun
 */
async function finish(report, begun) {
  shown = report
  showVerdict(report)
  element('link', HTMLButtonElement).hidden = begun === null
  showProgress('')
  if (begun) {
    await keep(begun.id, report).catch(() => {
      showProgress('The server did not keep this report. Save it as JSON instead.')
      element('link', HTMLButtonElement).hidden = true
    })
    history.replaceState(null, '', `?id=${encodeURIComponent(begun.id)}`)
  }
  setState('done')
  element('verdict', HTMLElement).focus()
}

/** @param {string} id */
async function showKept(id) {
  showProgress('Fetching the report…')
  const { report } = await look(id)
  if (!isReport(report)) throw new Error('This test has not been reported on yet. Run it to its end, then reload.')
  shown = report
  showEmpty()
  report.rows.forEach(showRow)
  showVerdict(report)
  showProgress('')
  setState('done')
}

/** @param {unknown} error */
function fail(error) {
  element('result', HTMLElement).hidden = true
  showProgress(error instanceof Error ? error.message : String(error))
  setState('failed')
  if (!(error instanceof Refused) || !['missing-key', 'unknown-key', 'bad-auth'].includes(error.reason)) return
  element('options', HTMLDetailsElement).open = true
  element('key', HTMLInputElement).focus()
}

element('form', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  setState('running')
  showProgress('Starting…')
  run().catch(fail)
})

element('link', HTMLButtonElement).addEventListener('click', () => {
  navigator.clipboard.writeText(location.href).then(
    () => showProgress('The link is copied.'),
    () => showProgress(`Copy the link: ${location.href}`),
  )
})

element('save', HTMLButtonElement).addEventListener('click', () => {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([JSON.stringify(shown, null, 2)], { type: 'application/json' }))
  link.download = 'hairpin-test.json'
  link.click()
  URL.revokeObjectURL(link.href)
})

const id = new URLSearchParams(location.search).get('id')
if (id) showKept(id).catch(fail)
