using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class EvalCommand : Verb
{
    private readonly Option<string> _data = new("--data")
    {
        Description = "Samples to ask about: the format's name and a file or glob.",
        HelpName = DataPath.Form,
        Required = true,
    };
    private readonly Option<string> _metrics = new("--metrics")
    {
        Description = "What to measure.",
        HelpName = "loss,anls,accuracy",
        DefaultValueFactory = _ => "loss,anls,accuracy",
    };
    private readonly AskOptions _model;

    public EvalCommand() : base("eval", "Measure a model on held-out samples.",
        "phi3v eval --model output/quickstart/seed-42/model --data conversations:output/quickstart/seed-42/eval.jsonl --metrics loss,anls")
    {
        Options.Add(_data);
        Options.Add(_metrics);
        _model = new(this);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (kind, path) = DataPath.Split("--data", parsed.GetRequiredValue(_data));
        var job = _model.Fill(new EvaluateJob
        {
            DataKind = kind,
            Data = path,
            Metrics = parsed.GetRequiredValue(_metrics).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        }, parsed);
        var result = await JobSession.RunAsync<EvaluateResult>(job, _model.Cluster(parsed), output, interrupted);
        output.Result(EvaluationView.Document(result), to => EvaluationView.Show(to, result));
        return ExitCode.Done;
    }
}
