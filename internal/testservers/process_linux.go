package testservers

import (
	"os/exec"
	"syscall"
)

// endWithParent lets the kernel kill the server when the test process dies
// without running its cleanups (a panic, a timeout).
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
