package xdp

// The object is committed, so that building Hairpin takes no C compiler. TestObject
// says whether it is current.
//go:generate go tool bpf2go -target bpfel -tags linux -type record -type key -type interface -type service -type line -type counts -type limit -no-global-types kernel c/hairpin.c -- -O2 -g -mcpu=v3 -mllvm -no-stack-slot-sharing -Wall -Wextra -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
//go:generate sh -c "(clang --version | head -n 1; cat c/*.c c/*.h | sha256sum) > c/BUILT"
