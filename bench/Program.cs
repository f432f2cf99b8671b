using System.CommandLine;
using Phi3VCluster.Bench;
using Phi3VCluster.Bench.AllReduce;
using Phi3VCluster.Bench.Chaos;
using Phi3VCluster.Bench.Gpu;
using Phi3VCluster.Bench.Overlap;
using Phi3VCluster.Bench.Step;
using Phi3VCluster.Spec;
using Phi3VCluster.Training;

var name = new Argument<string?>("NAME") { Description = "The benchmark; none lists them all.", Arity = ArgumentArity.ZeroOrOne };
var json = new Option<bool>("--json") { Description = "One JSON document instead of a table." };
var noPeers = new Option<bool>("--no-peers") { Description = "Measure only this project." };
var root = new RootCommand("Benchmarks, each beside another implementation where there is one. Example: bench all-reduce --json")
{
    name, json, noPeers,
};
root.SetAction(parsed =>
{
    if (parsed.GetValue(name) is not { } wanted)
    {
        foreach (var one in Catalog<IBenchmark>.All) Console.WriteLine($"{one.Name,-12} {one.Description}");
        foreach (var command in root.Subcommands.Where(command => !command.Hidden))
            Console.WriteLine($"{command.Name,-12} {command.Description}");
        return 0;
    }
    var benchmark = Catalog<IBenchmark>.Find(wanted, "NAME");
    var rows = benchmark.Run(new(Peers: !parsed.GetValue(noPeers)));
    if (parsed.GetValue(json)) BenchReport.WriteJson(benchmark, rows);
    else BenchReport.WriteTable(rows);
    return 0;
});

var worker = new Command(AllReduceWorker.Verb, "One rank of all-reduce; started by it.") { Hidden = true };
var certificates = new Argument<string?>("CERTIFICATES") { Arity = ArgumentArity.ZeroOrOne };
worker.Arguments.Add(certificates);
worker.SetAction(parsed => AllReduceWorker.Run(parsed.GetValue(certificates)));
root.Subcommands.Add(worker);

var stepArguments = new Argument<string[]>("JOB");
var stepWorker = new Command(StepWorker.Verb, "Our side of step; started by it.") { Hidden = true };
stepWorker.Arguments.Add(stepArguments);
stepWorker.SetAction(parsed => StepWorker.Run(parsed.GetValue(stepArguments)!));
root.Subcommands.Add(stepWorker);
var overlapArguments = new Argument<string[]>("RANK");
var overlapWorker = new Command(OverlapWorker.Verb, "One rank of overlap; started by it.") { Hidden = true };
overlapWorker.Arguments.Add(overlapArguments);
overlapWorker.SetAction(parsed => OverlapWorker.Run(parsed.GetValue(overlapArguments)!));
root.Subcommands.Add(overlapWorker);
root.Subcommands.Add(new ChaosCommand());
foreach (var command in GpuCommand.All()) root.Subcommands.Add(command);

try
{
    return root.Parse(args).Invoke(new() { EnableDefaultExceptionHandler = false });
}
catch (InputException wrong)
{
    Console.Error.WriteLine(wrong.Message);
    return 2;
}
