//go:build amd64 || arm64 || loong64 || riscv64

package xdp

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// errTooBig is what a full map answers.
const errTooBig = unix.E2BIG

// mapArray maps an array map of n values of type T, which has the size the kernel gives
// a value, into this process.
func mapArray[T any](p *Program, m *ebpf.Map, n int) ([]T, error) {
	var value T
	size := n * int(unsafe.Sizeof(value))
	page := os.Getpagesize()
	memory, err := unix.Mmap(m.FD(), 0, (size+page-1)/page*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	p.mapped = append(p.mapped, memory)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(memory))), n), nil
}

func (p *Program) unmap() error {
	var err error
	for _, memory := range p.mapped {
		err = errors.Join(err, unix.Munmap(memory))
	}
	p.records, p.lines, p.arrivals, p.mapped = nil, nil, nil, nil
	return err
}

// macBits is how much of a word a MAC takes; above it there is room for 16 bits more.
const macBits = 48

// word returns the address as the program has it: as it lies in a frame, in a word.
func (m MAC) word() uint64 {
	return binary.LittleEndian.Uint64(append(m[:], 0, 0))
}

// words returns an address as it lies in a packet, IPv4 in the first of the words.
func words(a netip.Addr) (w [4]uint32) {
	ip := a.As16()
	bytes := ip[:]
	if a.Is4() {
		bytes = append(bytes[12:], make([]byte, 12)...)
	}
	for i := range w {
		w[i] = binary.NativeEndian.Uint32(bytes[4*i:])
	}
	return w
}

// network16 returns a number as it lies in a packet.
func network16(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func isSix(a netip.Addr) uint16 {
	if a.Is6() {
		return 1
	}
	return 0
}
