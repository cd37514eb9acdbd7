class SignalingClient {
constructor(url, roomId) {
this.ws = new WebSocket(url);
this.roomId = roomId;
this.pc = null;
this.clientId = null;
this.setupWebSocket();
}
setupWebSocket() {
this.ws.onopen = () => {
this.send({ type: 'join', roomId: this.roomId });
};
this.ws.onmessage = async (event) => {
const data = JSON.parse(event.data);
await this.handleSignalingMessage(data);
};
}
async handleSignalingMessage(data) {
switch (data.type) {
case 'room-users':
// Handle existing users
data.users.forEach(userId => this.createPeerConnection(userId, true));
break;
case 'user-joined':
this.createPeerConnection(data.clientId, false);
break;
case 'offer':
await this.handleOffer(data);
break;
case 'answer':
await this.handleAnswer(data);
break;
case 'candidate':
await this.handleCandidate(data);
break;
case 'user-left':
this.removePeerConnection(data.clientId);
break;
}
}
async createPeerConnection(peerId, isInitiator) {
this.pc = new RTCPeerConnection(iceServers);
this.pc.ontrack = (event) => {
// Display remote stream
const remoteVideo = document.getElementById('remoteVideo');
remoteVideo.srcObject = event.streams[0];
};
// Add local tracks
const localStream = await getUserMedia();
localStream.getTracks().forEach(track => {
this.pc.addTrack(track, localStream);
});
if (isInitiator) {
const offer = await this.pc.createOffer();
await this.pc.setLocalDescription(offer);
this.send({ type: 'offer', offer, targetClientId: peerId });
}
}
async handleOffer(data) {
await this.pc.setRemoteDescription(data.offer);
const answer = await this.pc.createAnswer();
await this.pc.setLocalDescription(answer);
this.send({ type: 'answer', answer, targetClientId: data.clientId });
}
async handleAnswer(data) {
await this.pc.setRemoteDescription(data.answer);
}
async handleCandidate(data) {
await this.pc.addIceCandidate(new RTCIceCandidate(data.candidate));
}
send(message) {
this.ws.send(JSON.stringify(message));
}
}
