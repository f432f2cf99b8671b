using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Completion;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class InspectCommand : Verb
{
    private readonly Argument<string> _data = new(DataPath.Form)
    {
        Description = "The format's name and a file or glob.",
        CompletionSources = { CompletionValues.Kinds },
    };
    private readonly Option<string?> _model = new("--model")
    {
        Description = "Checkpoint folder, for exact token counts, its context and its crops. "
            + "Default: lengths of texts are estimated, 131072 tokens, 16 crops.",
        HelpName = "DIR",
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
    private readonly Option<int?> _numCrops = new("--num-crops")
    {
        Description = "Most crops of an image. Default: the model's, else 16.",
        HelpName = "N",
    };
    private readonly Option<int> _pages = new("--pages")
    {
        Description = "Pictures on the contact sheet; 0 for no sheet.",
        HelpName = "N",
        DefaultValueFactory = _ => new InspectJob().Pages,
    };
    private readonly Option<string> _sheet = new("--sheet")
    {
        Description = "The contact sheet to write, a PNG file; an older sheet is replaced, no other file.",
        HelpName = "FILE",
        DefaultValueFactory = _ => "inspect.png",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public InspectCommand() : base(
        "inspect", "Look at data before training: bad rows, lengths in tokens, images, answers, a sheet of pages.",
        "phi3v inspect conversations:output/quickstart/seed-42/train.jsonl --sheet pages.png")
    {
        Arguments.Add(_data);
        foreach (var option in (Option[])[_model, _imageRoot, _exifRotate, _numCrops, _pages, _sheet, _cluster]) Options.Add(option);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var (kind, path) = DataPath.Split(DataPath.Form, parsed.GetRequiredValue(_data));
        var job = new InspectJob
        {
            Model = Absolute(parsed.GetValue(_model)) ?? "",
            DataKind = kind,
            Data = path,
            ImageRoot = Absolute(parsed.GetValue(_imageRoot)),
            ExifRotate = parsed.GetValue(_exifRotate),
            NumCrops = parsed.GetValue(_numCrops),
            Pages = parsed.GetValue(_pages),
        };
        var sheet = UserPath.Absolute(parsed.GetRequiredValue(_sheet));
        if (job.Pages > 0) SheetFile.Check(sheet);
        var result = await JobSession.RunAsync<InspectResult>(job, ClusterAddress.Find(parsed.GetValue(_cluster)), output, interrupted);
        var failure = result.Sheet is { } png ? TryWrite(sheet, png) : null;
        var written = result.Sheet is null || failure is not null ? null : sheet;
        output.Result(InspectView.Document(result, written), to => InspectView.Show(to, result, written));
        if (failure is not null) output.Error($"--sheet: {failure}; everything else is above.");
        return failure is null ? ExitCode.Done : ExitCode.Failed;
    }

    /// <summary>A disk that has filled meanwhile must not cost the report.</summary>
    /// <returns>What went wrong; null when the sheet is there.</returns>
    private static string? TryWrite(string sheet, byte[] png)
    {
        try
        {
            SheetFile.Write(sheet, png);
            return null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return $"cannot be written, got {sheet} ({error.Message.TrimEnd('.')})";
        }
    }

    private static string? Absolute(string? path) => path is null ? null : ModelArguments.Absolute(path);
}
