using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class EvalCommand : Verb
{
    private readonly Option<string?> _data = new("--data")
    {
        Description = "Samples to ask about: the format's name and a file or glob.",
        HelpName = DataPath.Form,
        CompletionSources = { CompletionValues.Kinds },
    };
    private readonly Option<string?> _spec = new("--spec")
    {
        Description = "In place of --data: a run spec, whose data section says which samples are held out and how they are read.",
        HelpName = "SPEC",
        CompletionSources = { CompletionValues.Specs },
    };
    private readonly Option<string?> _imageRoot = new("--image-root")
    {
        Description = "Where relative image paths start. Default: the data file's folder.",
        HelpName = "DIR",
    };
    private readonly Option<bool> _exifRotate = new("--exif-rotate")
    {
        Description = "Turn image files of own data as their EXIF orientation says; images of parquet rows always are.",
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
        foreach (var option in (Option[])[_data, _spec, _imageRoot, _exifRotate, _metrics]) Options.Add(option);
        _model = new(this);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var job = _model.Fill(Samples(parsed) with
        {
            Metrics = parsed.GetRequiredValue(_metrics).Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries),
        }, parsed);
        var result = await JobSession.RunAsync<EvaluateResult>(job, _model.Cluster(parsed), output, interrupted);
        output.Result(EvaluationView.Document(result), to => EvaluationView.Show(to, result));
        return ExitCode.Done;
    }

    /// <exception cref="InputException">Neither or both are given, or what is wrong with the spec's data section.</exception>
    private EvaluateJob Samples(ParseResult parsed)
    {
        var (data, given) = (parsed.GetValue(_data), parsed.GetValue(_spec));
        if (data is null == given is null)
            throw new InputException((data is null
                ? "--data: or --spec is required, got nothing; "
                : $"--data: or --spec, not both, got {data} and {given}; ") + "write for example --data conversations:data/test.jsonl.");
        var (imageRoot, exifRotate) = (parsed.GetValue(_imageRoot), parsed.GetValue(_exifRotate));
        if (data is not null)
        {
            var (kind, path) = DataPath.Split("--data", data);
            return new()
            {
                DataKind = kind,
                Data = path,
                ImageRoot = imageRoot is null ? null : ModelArguments.Absolute(imageRoot),
                ExifRotate = exifRotate,
            };
        }
        var reading = SpecSource.Read(given!, imageRoot is null ? [] : [$"data.imageRoot={imageRoot}"]).Reading;
        string[] problems = [.. reading.Problems.Where(problem => problem.StartsWith("data", StringComparison.Ordinal))];
        if (problems.Length > 0) throw new InputException(problems);
        var section = RunSpecPaths.MakeAbsolute(reading.Spec, Environment.CurrentDirectory).Data;
        return new()
        {
            DataKind = section.EvalKind ?? section.Kind,
            Data = section.Eval ?? section.Train,
            ImageRoot = section.ImageRoot,
            Section = section with { ExifRotate = section.ExifRotate || exifRotate },
        };
    }
}
