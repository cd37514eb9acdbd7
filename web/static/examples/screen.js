/** A screen for whoever is in the room; nobody's camera or microphone is used. */
import { join } from '/hairpin.js'

const state = /** @type {HTMLElement} */ (document.getElementById('state'))
const share = /** @type {HTMLButtonElement} */ (document.getElementById('share'))
const videos = /** @type {HTMLElement} */ (document.getElementById('videos'))

const room = await join({ room: new URLSearchParams(location.search).get('room') ?? 'screen' })

share.addEventListener('click', async () => {
  try {
    if (room.sharing) room.stopScreen()
    else await room.shareScreen()
  } catch (error) {
    state.textContent = `No screen: ${error instanceof Error ? error.message : error}`
  }
})
room.addEventListener('screen', ({ detail }) => {
  share.textContent = detail ? 'Stop sharing' : 'Share a screen'
})

/** @param {import('/hairpin.js').Member} member */
function show(member) {
  const known = videos.querySelector(`[data-member="${member.id}"]`)
  const video = known instanceof HTMLVideoElement ? known : document.createElement('video')
  video.dataset.member = member.id
  video.autoplay = video.playsInline = video.muted = true
  video.srcObject = member.stream
  video.hidden = !member.media.screen
  if (!known) videos.append(video)
}

for (const member of room.members.values()) show(member)
for (const type of /** @type {const} */ (['member', 'update', 'stream'])) {
  room.addEventListener(type, ({ detail }) => show(detail))
}
room.addEventListener('left', ({ detail }) => videos.querySelector(`[data-member="${detail.id}"]`)?.remove())
room.addEventListener('state', ({ detail }) => { state.textContent = detail })
state.textContent = room.state
addEventListener('pagehide', () => room.leave())
