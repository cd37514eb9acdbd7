/** What lib/page.js keeps in every page, for the tests to look at. */
interface Kept {
  connections: RTCPeerConnection[]
  sockets: WebSocket[]
  /** Statistics of the latest peer connection. */
  read(): Promise<{ inbound: any[]; local: any; remote: any }>
}

declare var kept: Kept
