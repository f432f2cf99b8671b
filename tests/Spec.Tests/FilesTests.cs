namespace Phi3VCluster.Spec.Tests;

public sealed class FilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("phi3v-spec-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Everything_that_is_missing_is_said_at_once_with_the_path_given()
    {
        var spec = new RunSpec
        {
            Model = new() { Path = At("model") },
            Method = new() { Adapter = At("adapter") },
            Data = new() { Train = At("train-*.jsonl"), Eval = At("eval.jsonl"), ImageRoot = At("images") },
            Output = At("a-file/inside"),
        };
        Touch("a-file");

        var problems = RunSpecFiles.Problems(spec);

        Assert.Equal(["model.path", "data.train", "data.eval", "data.imageRoot", "method.adapter", "output"],
            problems.Select(p => p[..p.IndexOf(':')]));
        Assert.Contains(At("train-*.jsonl"), problems[1]);
    }

    [Fact]
    public void A_model_folder_needs_its_config_and_its_weights()
    {
        Directory.CreateDirectory(At("model"));
        Touch("train.jsonl");
        var spec = new RunSpec { Model = new() { Path = At("model") }, Data = new() { Train = At("train.jsonl") }, Output = At("output") };

        Assert.Equal(2, RunSpecFiles.Problems(spec).Count);
        Touch("model/config.json");
        Touch("model/model-00001-of-00001.safetensors");
        Assert.Empty(RunSpecFiles.Problems(spec));
        Assert.False(Directory.Exists(At("output")), "a check must leave nothing behind");
    }

    [Theory]
    [InlineData("train-*.jsonl", "train-1.jsonl,train-2.jsonl")]
    [InlineData("train-?.jsonl", "train-1.jsonl,train-2.jsonl")]
    [InlineData("train-1.jsonl", "train-1.jsonl")]
    [InlineData("*/eval.jsonl", "a/eval.jsonl,b/eval.jsonl")]
    [InlineData("**/*.jsonl", "a/deep/x.jsonl,a/eval.jsonl,b/eval.jsonl,train-1.jsonl,train-2.jsonl")]
    [InlineData("nothing-*", "")]
    [InlineData("no-folder/*.jsonl", "")]
    public void A_pattern_names_its_files_in_order(string pattern, string expected)
    {
        foreach (var file in (string[])["train-2.jsonl", "train-1.jsonl", "a/eval.jsonl", "b/eval.jsonl", "a/deep/x.jsonl"]) Touch(file);

        Assert.Equal(expected.Split(',', StringSplitOptions.RemoveEmptyEntries),
            FilePattern.Match(At(pattern)).Select(f => Path.GetRelativePath(_folder, f)));
    }

    [Fact]
    public void Relative_paths_start_from_the_folder_given()
    {
        var spec = RunSpecPaths.MakeAbsolute(new RunSpec
        {
            Model = new() { Path = "m" },
            Data = new() { Train = "d/*.jsonl", Eval = null, ImageRoot = "/i" },
            Output = "./o",
        }, "/base");

        Assert.Equal(("/base/m", "/base/d/*.jsonl", null, "/i", "/base/o", null),
            (spec.Model.Path, spec.Data.Train, spec.Data.Eval, spec.Data.ImageRoot, spec.Output, spec.Method.Adapter));
    }

    private string At(string name) => Path.Combine(_folder, name);

    private void Touch(string name)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(At(name))!);
        File.WriteAllText(At(name), "");
    }
}
