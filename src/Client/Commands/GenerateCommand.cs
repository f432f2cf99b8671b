using System.CommandLine;
using System.Text;
using Phi3VCluster.Client.App;
using Phi3VCluster.Spec;
using Phi3VCluster.Spec.Jobs;

namespace Phi3VCluster.Client.Commands;

internal sealed class GenerateCommand : Verb
{
    private readonly Option<string[]> _images = new("--image")
    {
        Description = "An image file; may be given often, image 1 first.",
        HelpName = "F",
        DefaultValueFactory = _ => [],
    };
    private readonly Option<string> _prompt = new("--prompt")
    {
        Description = "What to ask; image tags and the chat template are added. @FILE reads it from a file, - from standard input.",
        HelpName = "TEXT",
        Required = true,
    };
    private readonly Option<bool> _raw = new("--raw-prompt")
    {
        Description = "Take the prompt as it is, with its own <|image_k|> tags and template.",
    };
    private readonly Option<bool> _ignoreEos = new("--ignore-eos")
    {
        Description = "Go on after the answer's end, up to --max-new-tokens.",
    };
    private readonly AskOptions _model;

    public GenerateCommand() : base("generate", "Ask a model about images, greedily.",
        "phi3v generate --model output/quickstart/seed-42/model --image page.png --prompt \"What is the total?\"")
    {
        foreach (var option in (Option[])[_images, _prompt, _raw, _ignoreEos]) Options.Add(option);
        _model = new(this);
    }

    protected override async Task<int> RunAsync(ParseResult parsed, Output output, CancellationToken interrupted)
    {
        var job = _model.Fill(new GenerateJob
        {
            Images = [.. parsed.GetRequiredValue(_images).Select(ModelArguments.Absolute)],
            Prompt = Text(parsed.GetRequiredValue(_prompt)),
            IsRaw = parsed.GetValue(_raw),
            IgnoreEndOfText = parsed.GetValue(_ignoreEos),
        }, parsed);
        var result = await JobSession.RunAsync<GenerateResult>(job, _model.Cluster(parsed), output, interrupted);
        output.Result(result, to => to.Line(result.Text));
        return ExitCode.Done;
    }

    private static string Text(string prompt)
    {
        if (prompt == "-") return Console.In.ReadToEnd().TrimEnd('\n');
        if (!prompt.StartsWith('@')) return prompt;
        try
        {
            return File.ReadAllText(prompt[1..], new UTF8Encoding(false, throwOnInvalidBytes: true)).TrimEnd('\n');
        }
        catch (DecoderFallbackException)
        {
            throw new InputException($"--prompt: the file is no UTF-8 text, got {prompt}; an image is given with --image.");
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new InputException($"--prompt: the file cannot be read, got {prompt}; give @ and a file, or the text itself.");
        }
    }
}
