using System.CommandLine;
using Phi3VCluster.Client.App;
using Phi3VCluster.Client.Cluster;
using Phi3VCluster.Client.Views;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class InspectCommand : Verb
{
    private readonly Argument<string> _data = new(DataPath.Form) { Description = "The format's name and a file or glob." };
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
        Description = "The contact sheet to write, a PNG file; one that is there is overwritten.",
        HelpName = "FILE",
        DefaultValueFactory = _ => "inspect.png",
    };
    private readonly Option<string?> _cluster = ClusterAddress.Option();

    public InspectCommand() : base("inspect", "Look at data before training: bad rows, lengths in tokens, images, answers, a sheet of pages.",
        "phi3v inspect conversations:quickstart-data/train.jsonl --model quickstart-data/model --sheet pages.png")
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
        if (job.Pages > 0) CheckTarget(sheet);
        var result = await JobSession.RunAsync<InspectResult>(job, ClusterAddress.Find(parsed.GetValue(_cluster)), interrupted);
        if (result.Sheet is { } png) Write(sheet, png);
        var written = result.Sheet is null ? null : sheet;
        output.Result(InspectView.Document(result, written), to => InspectView.Show(to, result, written));
        return ExitCode.Done;
    }

    private static string? Absolute(string? path) => path is null ? null : ModelOptions.Absolute(path);

    /// <summary>Before the work, which may take minutes.</summary>
    private static void CheckTarget(string sheet)
    {
        if (Directory.Exists(sheet)) throw new InputException($"--sheet: is a folder, got {sheet}; give a file.");
        if (!Directory.Exists(Path.GetDirectoryName(sheet)))
            throw new InputException($"--sheet: there is no such folder, got {sheet}; make it or give another file.");
    }

    /// <summary>It appears whole or not at all.</summary>
    private static void Write(string sheet, byte[] png)
    {
        var partial = $"{sheet}.partial-{Guid.NewGuid():N}";
        File.WriteAllBytes(partial, png);
        File.Move(partial, sheet, overwrite: true);
    }
}
