/** Everybody who opens this page with the same ?room= sees and hears everybody else. */
import { join } from '/hairpin.js'

const state = /** @type {HTMLElement} */ (document.getElementById('state'))
const videos = /** @type {HTMLElement} */ (document.getElementById('videos'))

const room = await join({
  room: new URLSearchParams(location.search).get('room') ?? 'minimal',
  media: { audio: true, video: true },
}).catch((error) => {
  state.textContent = error.message
  throw error
})

/** @param {import('/hairpin.js').Member} member */
function show(member) {
  const video = document.createElement('video')
  video.dataset.member = member.id
  video.autoplay = video.playsInline = true
  video.srcObject = member.stream
  videos.append(video)
}

for (const member of room.members.values()) show(member)
room.addEventListener('member', ({ detail }) => show(detail))
room.addEventListener('left', ({ detail }) => videos.querySelector(`[data-member="${detail.id}"]`)?.remove())
room.addEventListener('state', ({ detail }) => { state.textContent = detail })
state.textContent = room.state
addEventListener('pagehide', () => room.leave())
