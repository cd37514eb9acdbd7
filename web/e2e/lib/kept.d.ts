/** What lib/page.js keeps in every page, for the tests to look at. */
interface Kept {
  connections: RTCPeerConnection[]
  sockets: WebSocket[]
  /** Statistics of the latest peer connection. */
  read(): Promise<{ inbound: any[]; local: any; remote: any }>
  /** One for each peer connection that is connected, in the order they were made. */
  links(): Promise<Link[]>
  /** From now until stop: the longest time, in milliseconds, in which no picture came from anybody. */
  watchGap(): { longest: number; stop(): void }
  /** While it is a list, what would be sent to the server is put there, until release. */
  held: { data: string; send(): void }[] | null
  release(): void
  /** While it is a list, ICE servers from the server are put there, until deliver, which hands over the latest. */
  withheld: string[] | null
  deliver(): void
}

/** What a peer connection receives, and by which path; counts are since it was made. */
interface Link {
  frames: number
  width: number
  packets: number
  energy: number
  local: string
  remote: string
  relayProtocol: string
  /** of the local candidate */
  port: number
}

declare var kept: Kept

/** What library.test.js makes in its page. */
declare var pair: {
  polite: import('../../static/hairpin.js').Connection
  impolite: import('../../static/hairpin.js').Connection
  mail: { to: string; message: any }[]
  deliver(): void
  flow(): void
}

/** Candidates that library.test.js saw a connection take. */
declare var added: string[]

/** What call-features.test.js opened in its page, and drew in place of a screen. */
declare var opened: MediaStream[]
declare var drawn: MediaStream

/** What call-files.test.js saw its page offer to save. */
declare var blobs: Blob[]

/** The members that library-room.test.js makes in its page. */
declare var rooms: import('../../static/hairpin.js').Room[]
