using System.Diagnostics;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Commands;
using Phi3VCluster.Client.Silo;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Supervision;

/// <summary>This program once more, as the supervisor that stays.</summary>
internal static class SupervisorProcess
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromMinutes(3); // longer than it waits for what it starts

    public static string LogFile => ClusterPlan.LogOf("supervisor");

    /// <summary>Starts it and waits until all silos answer.</summary>
    /// <exception cref="CommandFailedException">Something ended at its start; says what its log says.</exception>
    /// <exception cref="InputException">A silo refused its options.</exception>
    public static Task<Process> StartAsync(ClusterPlan plan, CancellationToken interrupted)
    {
        _ = (Executable.Silo.Find(), Executable.Store.Find()); // what is missing is said here, not in a log
        var readyFile = Path.Combine(UpState.Home, "ready-supervisor.json");
        return new BackgroundProgram("the supervisor", Path.Combine(AppContext.BaseDirectory, "phi3v"),
            SuperviseCommand.CommandLine(plan, readyFile), readyFile, LogFile, UntilStdinCloses: false, ReadyDeadline)
            .StartAsync(interrupted);
    }
}
