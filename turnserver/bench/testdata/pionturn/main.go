// Command pionturn is the smallest server that pion/turn makes, to be measured beside
// others: UDP and TCP on one address, credentials of the TURN REST draft, all peers
// allowed.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/pion/logging"
	"github.com/pion/turn/v4"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3478", "`ADDR` for UDP and TCP")
	relay := flag.String("relay", "127.0.0.1", "`IP` of relayed transport addresses")
	flag.Parse()
	server, err := serve(*listen, *relay, os.Getenv("PIONTURN_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	if err := server.Close(); err != nil {
		log.Fatal(err)
	}
}

func serve(listen, relay, secret string) (*turn.Server, error) {
	packets, err := net.ListenPacket("udp", listen)
	if err != nil {
		return nil, err
	}
	streams, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, err
	}
	quiet := logging.NewDefaultLoggerFactory()
	quiet.DefaultLogLevel = logging.LogLevelError
	relays := &turn.RelayAddressGeneratorStatic{RelayAddress: net.ParseIP(relay), Address: relay}
	return turn.NewServer(turn.ServerConfig{
		Realm:             "pionturn",
		AuthHandler:       turn.LongTermTURNRESTAuthHandler(secret, quiet.NewLogger("auth")),
		LoggerFactory:     quiet,
		PacketConnConfigs: []turn.PacketConnConfig{{PacketConn: packets, RelayAddressGenerator: relays}},
		ListenerConfigs:   []turn.ListenerConfig{{Listener: streams, RelayAddressGenerator: relays}},
	})
}
