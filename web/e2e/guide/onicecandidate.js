// Handle ICE candidates
pc.onicecandidate = (event) => {
if (event.candidate) {
// Send candidate to peer via signaling
sendSignalingMessage({ type: 'candidate', candidate: event.candidate });
}
};
