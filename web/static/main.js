/**
 * The entry of the page: lobby, call, and what leads from one to the other.
 *
 * @typedef {import('./options.js').CallOptions} CallOptions
 * @typedef {'lobby' | import('./hairpin.js').RoomState} PageState what `<body data-state>` says
 */
import { Call } from './call.js'
import { clearChat, onChatSubmit } from './chatpanel.js'
import { onControls, showRoom } from './controls.js'
import { onRemove } from './details.js'
import { clearFiles, onFiles } from './filespanel.js'
import { askForToken, fillLobby, onLobbySubmit } from './lobby.js'
import { clearNotices, notify } from './notices.js'
import { addressOf, readOptions } from './options.js'
import { showView } from './page.js'
import { previewIfAllowed, startPreview, takePreview } from './preview.js'
import { startSettings } from './settings.js'
import { refusalWords } from './words.js'

/** @type {Call | null} */
let call = null

/** @param {CallOptions} options */
function enter(options) {
  call?.end()
  clearNotices()
  clearChat()
  clearFiles()
  history.replaceState(null, '', addressOf(location, options))
  showRoom(options.room)
  showView('call')
  call = new Call(options, takePreview(), {
    onState: setState,
    onRetry: () => enter(options),
    onRefused: (refusal) => {
      leave('failed')
      notify('server', 'error', refusalWords(refusal))
      if (refusal.reason === 'unauthorized') askForToken()
    },
  })
  void call.start()
}

/** @param {PageState} state */
function leave(state) {
  call?.end()
  call = null
  clearNotices()
  showView('lobby')
  setState(state)
}

/** @param {PageState} state */
function setState(state) {
  document.body.dataset.state = state
}

onLobbySubmit(enter)
onChatSubmit((text) => call?.say(text))
onFiles((files) => call?.offerFiles(files))
onRemove((member) => call?.remove(member))
startPreview()
startSettings()
onControls({
  toggle: (kind) => call?.toggle(kind),
  shareScreen: () => void call?.toggleScreen(),
  lock: () => call?.toggleLock(),
  leave: () => {
    leave('left')
    notify('left', 'info', 'You left the call.')
  },
})
// The others learn at once that we are gone, rather than when the socket times out.
addEventListener('pagehide', () => call?.end())
addEventListener('pageshow', ({ persisted }) => {
  if (persisted) location.reload()
})

const options = readOptions(location)
fillLobby(options)
if (options.join && options.room) enter(options)
else void previewIfAllowed()
