package offload

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtool asks drivers what netlink does not tell, by the SIOCETHTOOL ioctl. Its socket
// belongs to the network namespace it was opened in.
type ethtool struct{ fd int }

func openEthtool() (ethtool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return ethtool{fd}, err
}

func (e ethtool) close() { _ = unix.Close(e.fd) }

// driver returns the name of an interface's driver, or nothing.
func (e ethtool) driver(name string) string {
	info, err := unix.IoctlGetEthtoolDrvinfo(e.fd, name)
	if err != nil {
		return ""
	}
	return unix.ByteSliceToString(info.Driver[:])
}

const (
	stringLength   = 32 // ETH_GSTRING_LEN
	stringSetStats = 1  // ETH_SS_STATS
	stringSetFlags = 4  // ETH_SS_FEATURES
	stringsMax     = 4096
)

// names returns a set of an interface's strings.
func (e ethtool) names(name string, set uint32) []string {
	// struct ethtool_sset_info and its one number
	count := binary.NativeEndian.AppendUint32(nil, unix.ETHTOOL_GSSET_INFO)
	count = append(count, make([]byte, 4)...)
	count = binary.NativeEndian.AppendUint64(count, 1<<set)
	count = append(count, make([]byte, 8)...)
	if e.call(name, count) != nil {
		return nil
	}
	n := min(binary.NativeEndian.Uint32(count[16:]), stringsMax)
	// struct ethtool_gstrings and its strings
	buf := binary.NativeEndian.AppendUint32(nil, unix.ETHTOOL_GSTRINGS)
	buf = binary.NativeEndian.AppendUint32(buf, set)
	buf = binary.NativeEndian.AppendUint32(buf, n)
	buf = append(buf, make([]byte, n*stringLength)...)
	if n == 0 || e.call(name, buf) != nil {
		return nil
	}
	var all []string
	for text := range slices.Chunk(buf[12:], stringLength) {
		text, _, _ = bytes.Cut(text, []byte{0})
		all = append(all, string(text))
	}
	return all
}

// counter returns the sum of an interface's statistics whose names end so.
func (e ethtool) counter(name, suffix string) (sum uint64, ok bool) {
	names := e.names(name, stringSetStats)
	buf := binary.NativeEndian.AppendUint32(nil, unix.ETHTOOL_GSTATS)
	buf = binary.NativeEndian.AppendUint32(buf, uint32(len(names)))
	buf = append(buf, make([]byte, 8*len(names))...)
	if len(names) == 0 || e.call(name, buf) != nil {
		return 0, false
	}
	for i, n := range names {
		if strings.HasSuffix(n, suffix) {
			sum += binary.NativeEndian.Uint64(buf[8+8*i:])
			ok = true
		}
	}
	return sum, ok
}

// feature reports whether an interface's feature is on.
func (e ethtool) feature(name, feature string) (on, known bool) {
	i := slices.Index(e.names(name, stringSetFlags), feature)
	if i < 0 {
		return false, false
	}
	// struct ethtool_gfeatures: blocks of available, requested, active, never changed
	const block = 16
	blocks := uint32(i/32 + 1)
	buf := binary.NativeEndian.AppendUint32(nil, unix.ETHTOOL_GFEATURES)
	buf = binary.NativeEndian.AppendUint32(buf, blocks)
	buf = append(buf, make([]byte, block*blocks)...)
	if e.call(name, buf) != nil {
		return false, false
	}
	active := binary.NativeEndian.Uint32(buf[8+block*(i/32)+8:])
	return active&(1<<(i%32)) != 0, true
}

// call makes one ethtool request, whose structure is answered in place.
func (e ethtool) call(name string, request []byte) error {
	ifr := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(unsafe.SliceData(request))}
	copy(ifr.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(e.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return nil
}
