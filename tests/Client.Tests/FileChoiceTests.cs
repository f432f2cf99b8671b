using Phi3VCluster.Client.Hub;
using Phi3VCluster.Spec;

namespace Phi3VCluster.Client.Tests;

public sealed class FileChoiceTests
{
    private static readonly HubRepo Model = new(RepoKind.Model, "tiny/phi", "main"), Dataset = new(RepoKind.Dataset, "tiny/pages", "main");

    [Theory]
    [InlineData("model-00001-of-00002.safetensors", true)]
    [InlineData("model.safetensors.index.json", true)]
    [InlineData("tokenizer.json", true)]
    [InlineData("tokenizer.model", true)]
    [InlineData("merges.txt", true)]
    [InlineData("README.md", true)]
    [InlineData("LICENSE", true)]
    [InlineData("original/params.json", true)]
    [InlineData("vectors.model", false)]
    [InlineData("pytorch_model.bin", false)]
    [InlineData("training_args.BIN", false)]
    [InlineData("optimizer.pt", false)]
    [InlineData("weights.ckpt", false)]
    [InlineData("modeling_phi3_v.py", false)]
    [InlineData("sample_inference.ipynb", false)]
    [InlineData("model.safetensors.py", false)]
    [InlineData("phi3.gguf", false)]
    [InlineData("images/logo.png", false)]
    [InlineData(".gitattributes", false)]
    [InlineData("no-extension", false)]
    public void Of_a_model_weights_configuration_tokenizer_and_texts_are_taken(string path, bool taken) =>
        Assert.Equal(taken, AllowedFiles.Refusal(RepoKind.Model, path, []) is null);

    [Theory]
    [InlineData("data/train-00000-of-00010.parquet", true)]
    [InlineData("train.jsonl", true)]
    [InlineData("train.csv", true)]
    [InlineData("images/0001.PNG", true)]
    [InlineData("images/0001.webp", true)]
    [InlineData("README.md", true)]
    [InlineData("docvqa.py", false)]
    [InlineData("features.pkl", false)]
    [InlineData("features.npy", false)]
    [InlineData("images.zip", false)]
    [InlineData("images.tar.gz", false)]
    [InlineData("model.safetensors", false)]
    [InlineData("clip.mp4", false)]
    public void Of_a_dataset_tables_texts_and_images_are_taken(string path, bool taken) =>
        Assert.Equal(taken, AllowedFiles.Refusal(RepoKind.Dataset, path, []) is null);

    [Theory]
    [InlineData("Dataset", "images.zip", "*.zip", true)]
    [InlineData("Dataset", "a/images.tar.gz", "a/*.tar.gz", true)]
    [InlineData("Dataset", "images.zip", "images*", false)]
    [InlineData("Dataset", "images.zip", "*", false)]
    [InlineData("Dataset", "features.pkl", "*.pkl", false)]
    [InlineData("Dataset", "docvqa.py", "docvqa.py", false)]
    [InlineData("Model", "pytorch_model.bin", "*.bin", false)]
    [InlineData("Model", "weights.zip", "*.zip", false)]
    public void An_archive_of_data_is_taken_when_it_is_named_and_a_pickle_or_code_never(
        string kind, string path, string include, bool taken) =>
        Assert.Equal(taken, AllowedFiles.Refusal(Enum.Parse<RepoKind>(kind), path, [include]) is null);

    [Fact]
    public void Included_is_what_any_pattern_matches_in_any_folder()
    {
        var files = Files("data/train-0.parquet", "data/test-0.parquet", "README.md", "train.py");

        var choice = FileChoice.Of(Dataset, files, ["*train-*", "*.md", "*.py"]);

        Assert.Equal(["data/train-0.parquet", "README.md"], choice.Taken.Select(f => f.Path));
        Assert.Equal([new("data/test-0.parquet", "not among --include"), new SkippedFile("train.py", "code")], choice.LeftOut);
    }

    [Fact]
    public void A_model_with_pickles_only_is_refused_with_the_reason() => Assert.Equal(
        "tiny/phi: the model has its weights as pickles only, got 4 files (a.bin, b.pt, c.pth, …); " +
        "reading a pickle can run code, so give a repository or a --revision with *.safetensors.",
        Refusal(Model, ["config.json", "a.bin", "b.pt", "c.pth", "d.ckpt", "e.py"]));

    [Fact]
    public void A_model_without_weights_that_are_read_here_is_refused() => Assert.Equal(
        "tiny/phi: the model has no *.safetensors, got 1 file (phi.gguf); give a repository with weights in that form.",
        Refusal(Model, ["config.json", "phi.gguf"]));

    [Fact]
    public void A_model_without_weights_is_no_error_if_only_its_texts_are_asked_for() =>
        Assert.Equal("config.json", Assert.Single(FileChoice.Of(Model, Files("config.json", "a.bin"), ["*.json"]).Taken).Path);

    [Fact]
    public void Patterns_that_match_nothing_are_refused_with_what_there_is() => Assert.Equal(
        "--include: no file to fetch matches, got *.csv *.pkl; there are 2 files (a.parquet, b.parquet): not among --include; " +
        "1 file (c.pkl): a pickle: reading it can run code.",
        Refusal(Dataset, ["a.parquet", "b.parquet", "c.pkl"], "*.csv", "*.pkl"));

    [Fact]
    public void A_dataset_without_data_is_refused() => Assert.Equal(
        "tiny/pages: nothing in it is data that is used here, got 1 file (load.py): code.", Refusal(Dataset, ["load.py"]));

    [Fact]
    public void An_empty_repository_is_refused() =>
        Assert.Equal("tiny/pages: the repository is empty, got no file; give another one.", Refusal(Dataset, []));

    private static string Refusal(HubRepo repo, string[] paths, params string[] includes) =>
        Assert.Single(Assert.Throws<InputException>(() => FileChoice.Of(repo, Files(paths), includes)).Problems);

    private static HubFile[] Files(params string[] paths) => [.. paths.Select(p => new HubFile(p, 1, null, new('a', 40)))];
}
