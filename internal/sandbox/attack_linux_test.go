package sandbox_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// attacks are what an attacker inside tries. Nil means that it came through.
var attacks = map[string]func(args []string) error{
	"write": func(a []string) error { return os.WriteFile(a[0], []byte("x"), 0o644) },
	"read":  func(a []string) error { _, err := os.ReadFile(a[0]); return err },
	"remount": func(a []string) error {
		return unix.Mount("", a[0], "", unix.MS_REMOUNT|unix.MS_BIND, "")
	},
	"umount": func(a []string) error { return unix.Unmount(a[0], unix.MNT_DETACH) },
	// A character device 0:0 is the one that needs no capability.
	"mknod": func(a []string) error { return unix.Mknod(a[0], unix.S_IFCHR|0o600, 0) },
	"fifo":  func(a []string) error { return unix.Mkfifo(a[0], 0o600) },
	"chmod": func(a []string) error { return owned(a[0], func(p string) error { return os.Chmod(p, 0o666) }) },
	"chown": func(a []string) error {
		return owned(a[0], func(p string) error { return os.Chown(p, os.Getuid(), -1) })
	},
	"utimes": func(a []string) error {
		return owned(a[0], func(p string) error { return os.Chtimes(p, time.Now(), time.Now()) })
	},
	"setattr": func(a []string) error {
		return owned(a[0], func(p string) error { return unix.Setxattr(p, "user.x", []byte("1"), 0) })
	},
	"socket": func(a []string) error {
		var n [3]int
		for i := range n {
			n[i], _ = strconv.Atoi(a[i])
		}
		fd, err := unix.Socket(n[0], n[1], n[2])
		if err == nil {
			unix.Close(fd)
		}
		return err
	},
	"dial": func(a []string) error {
		c, err := net.DialTimeout("unix", a[0], time.Second)
		if err == nil {
			c.Close()
		}
		return err
	},
	"see": func(a []string) error { _, err := os.ReadFile("/proc/" + a[0] + "/cmdline"); return err },
	"others": func([]string) error {
		all, err := filepath.Glob("/proc/[0-9]*")
		if err != nil || len(all) > 2 {
			return err
		}
		return fmt.Errorf("only %v", all)
	},
	"kill":     func(a []string) error { pid, _ := strconv.Atoi(a[0]); return unix.Kill(pid, 0) },
	"traceme":  func([]string) error { return raw(unix.SYS_PTRACE, 0, 0, 0) },
	"readself": func([]string) error { return raw(unix.SYS_PROCESS_VM_READV, uintptr(os.Getpid()), 0, 0) },
	"unshare": func([]string) error {
		err := unix.Unshare(unix.CLONE_NEWUSER)
		if err == unix.EINVAL {
			return nil // the kernel's answer to a process with threads: nothing else refused it
		}
		return err
	},
	"cloneuser": func([]string) error { return clone(unix.CLONE_NEWUSER) },
	"clonenet":  func([]string) error { return clone(unix.CLONE_NEWUSER | unix.CLONE_NEWNET) },
	"clone3":    func([]string) error { return reached(raw(unix.SYS_CLONE3, 0, 0, 0), unix.EINVAL) },
	"fork":      func([]string) error { return clone(0) },
	"iouring": func([]string) error {
		var params [120]byte
		fd, _, e := unix.RawSyscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
		if e != 0 {
			return reached(e, unix.EPERM) // switched off by sysctl, past the filter
		}
		unix.Close(int(fd))
		return nil
	},
	"tiocsti":     func([]string) error { return reached(raw(unix.SYS_IOCTL, 0, 0x5412, 0), unix.ENOTTY) },
	"personality": func([]string) error { return raw(unix.SYS_PERSONALITY, 0x0040000, 0, 0) },
	"keyctl":      func([]string) error { return reached(raw(unix.SYS_KEYCTL, 9999, 0, 0), unix.EOPNOTSUPP) },
	"handle":      func([]string) error { return reached(raw(unix.SYS_NAME_TO_HANDLE_AT, 0, 0, 0), unix.EFAULT) },
	"pidfdgetfd":  func([]string) error { return reached(raw(unix.SYS_PIDFD_GETFD, ^uintptr(0), 0, 0), unix.EBADF) },
	"future":      func([]string) error { return raw(900, 0, 0, 0) },
	"x32": func([]string) error {
		if runtime.GOARCH != "amd64" {
			return unix.EPERM
		}
		return reached(raw(0x40000000|39, 0, 0, 0), unix.ENOSYS) // a kernel without x32
	},
	"exec": func(a []string) error { return unix.Exec(a[0], a, nil) },
	"memfd": func([]string) error {
		fd, err := unix.MemfdCreate("x", unix.MFD_CLOEXEC)
		if err != nil {
			return err
		}
		b, err := os.ReadFile("/usr/bin/true")
		if err != nil {
			return err
		}
		if _, err := unix.Write(fd, b); err != nil {
			return err
		}
		return unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"true"}, nil)
	},
	"forks": func(a []string) error {
		want, _ := strconv.Atoi(a[0])
		for i := range want {
			pid, _, e := fork(uintptr(unix.SIGCHLD))
			if e != 0 {
				return fmt.Errorf("after %d: %w", i, e)
			}
			_ = pid
		}
		return nil
	},
	"map": func(a []string) error {
		n, _ := strconv.Atoi(a[0])
		_, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	},
	"touch": func(a []string) error { // resident memory
		n, _ := strconv.Atoi(a[0])
		b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
		if err != nil {
			return err
		}
		for i := 0; i < n; i += 4096 {
			b[i] = 1
		}
		return nil
	},
	"fill": func(a []string) error { // a file of that many bytes
		n, _ := strconv.Atoi(a[1])
		f, err := os.Create(a[0])
		if err != nil {
			return err
		}
		chunk := make([]byte, 1<<20)
		for ; n > 0; n -= len(chunk) {
			if _, err := f.Write(chunk); err != nil {
				return err
			}
		}
		return f.Close()
	},
	"openfiles": func(a []string) error {
		n, _ := strconv.Atoi(a[0])
		for i := range n {
			if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
				return fmt.Errorf("after %d: %w", i, err)
			}
		}
		return nil
	},
	"leak": func(a []string) error { // any descriptor beyond those wanted
		want, _ := strconv.Atoi(a[0])
		for fd := want; fd < 1024; fd++ {
			name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
			if err == nil && !strings.HasPrefix(name, "anon_inode:") && !strings.HasPrefix(name, "/proc/") {
				fmt.Println("descriptor", fd, name)
				return nil
			}
		}
		return errors.New("none")
	},
	"capabilities": func([]string) error {
		s, err := field("CapEff")
		if err != nil || strings.Trim(s, "0") != "" {
			return err
		}
		return errors.New("none")
	},
	"privileges": func([]string) error {
		s, err := field("NoNewPrivs")
		if err != nil || s == "0" {
			return err
		}
		return errors.New("none")
	},
	"suid": func([]string) error { // a mount that honours setuid, or a device
		b, err := os.ReadFile("/proc/self/mountinfo")
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			opts := strings.Split(f[5], ",")
			if !slices.Contains(opts, "nosuid") || !slices.Contains(opts, "nodev") && !strings.HasPrefix(f[4], "/dev/") {
				fmt.Print(line)
				return nil
			}
		}
		return errors.New("none")
	},
	"groups": func([]string) error {
		g, err := os.Getgroups()
		if err != nil || len(slices.DeleteFunc(g, func(id int) bool { return id == 1000 })) > 0 {
			return err
		}
		return errors.New("none")
	},
	"link": func(a []string) error { return os.Link(a[0], a[1]) },
}

func field(name string) (string, error) {
	b, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("no %s in /proc/thread-self/status", name)
}

func owned(p string, f func(string) error) error {
	if err := os.WriteFile(p, nil, 0o600); err != nil {
		return err
	}
	return f(p)
}

func raw(nr, a, b, c uintptr) error {
	_, _, e := unix.RawSyscall6(nr, a, b, c, 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// reached turns the kernel's own answer into success: the filter let it pass.
func reached(err, kernel error) error {
	if errors.Is(err, kernel) {
		return nil
	}
	return err
}

func clone(flags uintptr) error {
	_, _, e := fork(flags | uintptr(unix.SIGCHLD))
	if e != 0 {
		return e
	}
	return nil
}

// fork makes a child that sleeps and ends without touching the Go run time.
//
//go:norace
func fork(flags uintptr) (pid, r2 uintptr, e syscall.Errno) {
	ts := unix.Timespec{Sec: 2}
	pid, r2, e = unix.RawSyscall6(unix.SYS_CLONE, flags, 0, 0, 0, 0, 0)
	if pid == 0 && e == 0 {
		unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
	return pid, r2, e
}

// attack runs one and prints refused and why, unless it came through.
func attack(name string, args []string) int {
	f, ok := attacks[name]
	if !ok {
		fmt.Println("unknown attack", name)
		return 9
	}
	if err := f(args); err != nil {
		fmt.Printf("refused: %v\n", err)
		return 7
	}
	return 0
}
