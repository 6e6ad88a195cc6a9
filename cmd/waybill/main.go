// Command waybill is the one program of a fleet: its workers, its scheduler,
// and the commands of producers and operators.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/waybillhq/waybill"
	"github.com/waybillhq/waybill/cmd/internal/fleet"
	"github.com/waybillhq/waybill/internal/config"
	"github.com/waybillhq/waybill/monitoring"
)

func main() {
	collectEarly()
	ctx, force, stop := signals()
	err := root(force).ExecuteContext(ctx)
	stop()
	if err != nil {
		printError(err)
		os.Exit(1)
	}
}

// collectEarly lets the heap grow by a quarter, not to double its size, between
// two collections, unless GOGC says otherwise: nearly all of it is buffers of
// conversions and uploads that are used again and cost a collection nothing.
func collectEarly() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(25)
	}
}

// signals returns a context that ends with the first signal to stop, and one
// that ends with the second.
func signals() (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancel(context.Background())
	second, cancelSecond := context.WithCancel(context.Background())
	c := make(chan os.Signal, 2)
	signal.Notify(c, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-c
		cancelFirst()
		<-c
		cancelSecond()
	}()
	return first, second, func() { signal.Stop(c); cancelFirst(); cancelSecond() }
}

// program is what every command shares.
type program struct {
	configFile string
	server     string          // a scheduler to ask in place of Redis
	force      context.Context // ends with the second signal
}

func root(force context.Context) *cobra.Command {
	p := &program{force: force}
	cmd := &cobra.Command{
		Use:           "waybill",
		Short:         "Delivers the results of finished workflow runs to where customers read data",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	cmd.PersistentFlags().StringVar(&p.configFile, "config", os.Getenv("WAYBILL_CONFIG"), "the fleet's configuration (default: waybill.yaml, if there is one)")
	cmd.AddCommand(p.worker(), p.scheduler(), p.share(), p.run(), p.connector(), p.delivery(), p.backfill(), p.token(), p.ledger(), p.convert(), p.doctor(), p.health())
	return cmd
}

// load reads the configuration, and makes the log that it wants. With an error
// that is [waybill.Problems], it returns what it could read.
func (p *program) load(needs ...config.Need) (config.Config, *slog.Logger, error) {
	file := p.configFile
	if file == "" {
		if _, err := os.Stat("waybill.yaml"); err == nil {
			file = "waybill.yaml"
		}
	}
	cfg, err := config.Load(file, os.LookupEnv, needs...)
	if err != nil {
		return cfg, slog.Default(), err
	}
	log, err := monitoring.NewLogger(os.Stderr, cfg.Log.Level, cfg.Log.Format)
	return cfg, log, err
}

// open connects to the fleet.
func (p *program) open(cmd *cobra.Command, poolSize int, needs ...config.Need) (*fleet.Fleet, error) {
	cfg, log, err := p.load(needs...)
	if err != nil {
		return nil, err
	}
	slog.SetDefault(log)
	return fleet.Open(cmd.Context(), cfg, log, poolSize)
}

// poolSize is enough connections to Redis for a short command.
const poolSize = 8

// with runs a short command on the fleet.
func (p *program) with(run func(cmd *cobra.Command, f *fleet.Fleet, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		f, err := p.open(cmd, poolSize)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		return run(cmd, f, args)
	}
}

// printError shows what went wrong to a person: every problem on its own line,
// and of a failure the sentence that says what to do.
func printError(err error) {
	if problems, ok := errors.AsType[waybill.Problems](err); ok {
		fmt.Fprintln(os.Stderr, "waybill: there is something to mend:")
		for _, p := range problems {
			fmt.Fprintf(os.Stderr, "  %s: %s\n", p.Field, p.Message)
		}
		return
	}
	fmt.Fprintln(os.Stderr, "waybill:", err)
	if f, ok := errors.AsType[*waybill.Failure](err); ok {
		fmt.Fprintln(os.Stderr, f.Action)
	}
}
