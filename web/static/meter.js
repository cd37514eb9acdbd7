/** How loud a sound is, shown while it is watched. */

const INTERVAL_MS = 100

/**
 * @param {MediaStream} stream with a sound
 * @param {(level: number) => void} show from 0 to 1, ten times a second
 * @returns {() => void} ends it
 */
export function watchLevel(stream, show) {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  context.createMediaStreamSource(stream).connect(analyser)
  // A page that was not touched yet may not listen; it may from the first touch on.
  const touched = new AbortController()
  for (const type of ['pointerdown', 'keydown']) addEventListener(type, () => void context.resume(), { signal: touched.signal })
  const samples = new Float32Array(analyser.fftSize)
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    show(loudness(samples))
  }, INTERVAL_MS)
  return () => {
    clearInterval(timer)
    touched.abort()
    void context.close()
  }
}

/**
 * Decibels rather than volts, for that is how ears hear: 0 is −60 dB and below, 1 is full scale.
 *
 * @param {Float32Array} samples
 */
export function loudness(samples) {
  const power = samples.reduce((total, sample) => total + sample * sample, 0) / samples.length
  if (power === 0) return 0
  return Math.min(1, Math.max(0, 1 + (10 * Math.log10(power)) / 60))
}
